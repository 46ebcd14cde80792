"""EMA: the moving average of the weights, which is often better than the weights themselves."""

from itertools import chain
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn


class EMA(WeightAveraging):
    """Validates, tests and keeps an exponential moving average of the weights.

    Args:
        decay: the share of the average that remains after a step. It grows towards this value
            (after n steps it is at most (1 + n) / (10 + n)), so that a short run does not average
            its beginning.
    """

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__()
        self.decay = decay
        self._pairs: list[tuple[list[Tensor], list[Tensor]]] = []

    @property
    def state_key(self) -> str:
        """The name of its state in a checkpoint, which stays if the class is renamed."""
        return "EMA" if type(self) is EMA else super().state_key

    def weight_at(self, step: int) -> float:
        """How much of the weights after a step (the first is 0) enters the average."""
        return 1 - min(self.decay, (1 + step) / (10 + step)) if step else 1.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step > self._latest_update_step:
            self._average(pl_module, self.weight_at(self._latest_update_step))
            self._latest_update_step = trainer.global_step

    @torch.no_grad()
    def _average(self, pl_module: LightningModule, weight: float) -> None:
        """As `AveragedModel.update_parameters`, which walks through all modules in every step and
        waits for the device."""
        assert self._average_model is not None
        self._pairs = self._pairs or _by_kind(self._average_model.module, pl_module)
        for averages, weights in self._pairs:
            if averages[0].is_floating_point():
                torch._foreach_lerp_(averages, weights, weight)
            else:  # counters among the buffers
                torch._foreach_copy_(averages, weights)
        self._average_model.n_averaged += 1

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forgets another fit, also one that ended with an error.

        Lightning makes the average here, when our Learner has no parameters yet.
        """
        if stage == "fit":
            self._average_model, self._pairs = None, []
            self._latest_update_step = 0

    def _make(self, pl_module: LightningModule) -> None:
        if self._average_model is None:
            super().setup(pl_module.trainer, pl_module, "fit")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._make(pl_module)
        assert self._average_model is not None
        self._average_model.to(pl_module.device)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.state.fn == "fit":  # any other verb takes the average, which is `state_dict`
            self._make(pl_module)
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._average_model, self._pairs = None, []  # else a test after fit would take the weights


def _by_kind(average: nn.Module, module: nn.Module) -> list[tuple[list[Tensor], list[Tensor]]]:
    """The parameters and buffers of both, one list for each device and type of number."""
    pairs: dict[tuple, tuple[list[Tensor], list[Tensor]]] = {}
    for mean, value in zip(_tensors(average), _tensors(module), strict=True):
        means, values = pairs.setdefault((mean.device, mean.dtype), ([], []))
        means.append(mean)
        values.append(value)
    return list(pairs.values())


def _tensors(module: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in chain(module.parameters(), module.buffers())]
