"""FiniteLoss: a loss that is NaN or infinite ends the training, and the samples are named."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.distributed
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor

from unitf.batch import Batch
from unitf.errors import UserError

_VALIDATION = "validation/loss"
_SHOWN = 8  # names of samples


@dataclass(frozen=True)
class _Measured:
    """The loss of a batch that nobody has looked at yet."""

    step: int
    loss: Tensor
    samples: tuple[str, ...]


class FiniteLoss(Callback):
    """Stops at the first loss that is NaN or infinite, before a checkpoint keeps its effect.

    Args:
        every: the number of steps between two checks of the losses. Reading a loss in every step
            would make an accelerator wait; on a CPU every step is checked.
    """

    def __init__(self, every: int = 16) -> None:
        self.every: int = every
        self._losses: list[_Measured] = []

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
        self.remember(trainer, loss.detach(), batch, batch_idx)
        alone_on_cpu = trainer.world_size == 1 and loss.device.type == "cpu"
        if alone_on_cpu or len(self._losses) >= self.every:
            self.check(trainer)

    def remember(self, trainer: Trainer, loss: Tensor, batch: object, batch_idx: int) -> None:
        """Keeps the loss of a batch with its step and the names of its samples."""
        halfway = (batch_idx + 1) % trainer.accumulate_grad_batches and not trainer.is_last_batch
        step = trainer.global_step + bool(halfway)  # the step that the batch belongs to, from 1
        self._losses.append(_Measured(step, loss, tuple(_names(batch))))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Checks the losses before the epoch ends."""
        self.check(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Checks the loss of a validation, which has weights of its own with EMA.

        Raises:
            UserError: it is NaN or infinite.
        """
        loss = trainer.callback_metrics.get(_VALIDATION)
        if trainer.state.fn == "fit" and loss is not None and not loss.isfinite():
            raise UserError(
                f"{_VALIDATION} is {loss.item()} after step {trainer.global_step} (epoch "
                f"{trainer.current_epoch}), expected a number; training stops"
            )

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
        losses = [each.loss.float() for each in self._losses]
        values = torch.stack(losses).cpu() if losses else torch.zeros(0)
        measured, self._losses = self._losses, []
        faulty = (~values.isfinite()).nonzero().flatten().tolist()
        if not trainer.strategy.reduce_boolean_decision(bool(faulty), all=False):
            return
        rate = ", ".join(
            f"{optimizer.param_groups[0]['lr']:.3g}" for optimizer in trainer.optimizers
        )
        step, value, samples = _first_of_all_processes(
            (measured[n].step, values[n].item(), measured[n].samples) for n in faulty
        )
        raise UserError(
            f"loss is {value} at step {step} (epoch {trainer.current_epoch}, learning rate "
            f"{rate}), of the samples {_shown(samples)}; training stops. "
            "A smaller learning rate, more warm-up or gradient clipping may help"
        )


_Fault = tuple[int, float, tuple[str, ...]]  # the step, its loss, the names of its samples


def _first_of_all_processes(faults: Iterator[_Fault]) -> _Fault:
    """Returns the first fault of any process; all processes call it."""
    first: _Fault | None = next(faults, None)
    found = [first]
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        found = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(found, first)
    return min((fault for fault in found if fault is not None), key=lambda fault: fault[0])


def _names(batch: object) -> Iterator[str]:
    """Yields the names of the samples of a batch, each once."""
    if isinstance(batch, Batch):
        yield from dict.fromkeys(n for part in batch.task_batches.values() for n in part.names)


def _shown(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "of this step") + more
