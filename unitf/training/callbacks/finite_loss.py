"""FiniteLoss: a loss that is NaN or infinite ends the training."""

from collections.abc import Mapping

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor

from unitf.errors import UserError


class FiniteLoss(Callback):
    """Stops at the first loss that is NaN or infinite, before a checkpoint keeps its effect.

    Args:
        every: the number of steps between two checks of the losses. Reading a loss in every step
            would make an accelerator wait; on a CPU every step is checked.
    """

    def __init__(self, every: int = 16) -> None:
        self.every: int = every
        self._losses: list[Tensor] = []
        self._first_step = 0

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Remembers the loss, and checks the losses when it is time."""
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        if loss is None:
            return
        if not self._losses:
            self._first_step = trainer.global_step
        self._losses.append(loss.detach())
        alone_on_cpu = trainer.world_size == 1 and loss.device.type == "cpu"
        if alone_on_cpu or len(self._losses) >= self.every:
            self.check(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Checks the losses before the epoch ends."""
        self.check(trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, object]
    ) -> None:
        """Checks the losses before a checkpoint is written."""
        self.check(trainer)

    def check(self, trainer: Trainer) -> None:
        """Checks the losses since the last check, in all processes.

        Raises:
            UserError: one of them is NaN or infinite.
        """
        losses = torch.stack(self._losses).float().cpu() if self._losses else torch.zeros(0)
        self._losses = []
        faulty = (~losses.isfinite()).nonzero().flatten().tolist()
        if not trainer.strategy.reduce_boolean_decision(bool(faulty), all=False):
            return
        rate = ", ".join(
            f"{optimizer.param_groups[0]['lr']:.3g}" for optimizer in trainer.optimizers
        )
        if not faulty:
            raise UserError("the loss is no number in another process; training stops")
        raise UserError(
            f"loss is {losses[faulty[0]].item()} at step {self._first_step + faulty[0]} "
            f"(epoch {trainer.current_epoch}, learning rate {rate}); training stops. "
            "A smaller learning rate, more warm-up or gradient clipping may help"
        )
