"""EMA: a moving average of the weights, which is often better than the weights themselves."""

from itertools import chain
from typing import Any, TypeAlias

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor, nn

_Pairs: TypeAlias = list[tuple[list[Tensor], list[Tensor]]]


class EMA(WeightAveraging):
    """Validates, tests and keeps an exponential moving average of the weights.

    Args:
        decay: the fraction of the average that remains after a step. It grows towards this value
            (after n steps it is at most (1 + n) / (10 + n)), so that the average of a short run
            does not contain its first steps.
    """

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__()
        self.decay: float = decay
        self._pairs: _Pairs = []

    @property
    def state_key(self) -> str:
        """The key of this callback's state in a checkpoint; it stays if the class is renamed."""
        return "EMA" if type(self) is EMA else super().state_key

    def weight_at(self, step: int) -> float:
        """Returns the fraction of the weights of a step (from 0) that enters the average."""
        return 1 - min(self.decay, (1 + step) / (10 + step)) if step else 1.0

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Updates the average after every optimizer step."""
        if trainer.global_step > self._latest_update_step:
            self._average(pl_module, self.weight_at(self._latest_update_step))
            self._latest_update_step = trainer.global_step

    @torch.no_grad()
    def _average(self, pl_module: LightningModule, weight: float) -> None:
        """Does what `AveragedModel.update_parameters` does.

        That method walks through all modules in every step, and waits for the device.
        """
        assert self._average_model is not None
        self._pairs = self._pairs or _by_kind(self._average_model.module, pl_module)
        for averages, weights in self._pairs:
            if averages[0].is_floating_point():
                torch._foreach_lerp_(averages, weights, weight)
            else:  # counters among the buffers
                torch._foreach_copy_(averages, weights)
        self._average_model.n_averaged += 1

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Deletes the average of an earlier fit, also of one that ended with an error.

        Lightning makes the average here. A Learner may have no parameters yet, so this callback
        makes it later.
        """
        if stage == "fit":
            self._average_model, self._pairs = None, []
            self._latest_update_step = 0

    def _make(self, pl_module: LightningModule) -> None:
        if self._average_model is None:
            super().setup(pl_module.trainer, pl_module, "fit")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Makes the average, on the device of the model."""
        self._make(pl_module)
        assert self._average_model is not None
        self._average_model.to(pl_module.device)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Saves the average in place of the weights, with what a validation of it has learned.

        What is no tensor has no average: the copy of the model still has it as the run began.
        """
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        current: dict[str, Any] = checkpoint.get("current_model_state", {})
        extra = {name: state for name, state in current.items() if name.endswith("_extra_state")}
        checkpoint["state_dict"] |= extra

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, object]
    ) -> None:
        """Loads the weights and the average to continue a fit."""
        if trainer.state.fn == "fit":  # other verbs take the average, which is in `state_dict`
            self._make(pl_module)
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Deletes the average, else a test after fit would use the weights."""
        self._average_model, self._pairs = None, []


def _by_kind(average: nn.Module, module: nn.Module) -> _Pairs:
    """Returns what is averaged of both, one pair of lists for each device and dtype."""
    pairs: dict[tuple[torch.device, torch.dtype], tuple[list[Tensor], list[Tensor]]] = {}
    for mean, value in zip(_tensors(average), _tensors(module), strict=True):
        means, values = pairs.setdefault((mean.device, mean.dtype), ([], []))
        means.append(mean)
        values.append(value)
    return list(pairs.values())


def _tensors(module: nn.Module) -> list[Tensor]:
    """Returns what is averaged: the parameters, and the buffers that a checkpoint keeps.

    The others are worked out, not learned, and may be infinite, which has no average.
    """
    kept = module.state_dict(keep_vars=True)
    buffers = (buffer for name, buffer in module.named_buffers() if name in kept)
    return [tensor.detach() for tensor in chain(module.parameters(), buffers)]
