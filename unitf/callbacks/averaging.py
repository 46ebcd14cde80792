"""EMA: the moving average of the weights, which is often better than the weights themselves."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class EMA(WeightAveraging):
    """Validates, tests and keeps an exponential moving average of the weights.

    Args:
        decay: the share of the average that remains after a step. It grows towards this value
            (after n steps it is at most (1 + n) / (10 + n)), so that a short run does not average
            its beginning.
    """

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__(multi_avg_fn=self._average)
        self.decay = decay

    @torch.no_grad()
    def _average(self, averages: Any, weights: Any, steps: Tensor | int) -> None:
        n = self._latest_update_step  # `steps` lies on the device
        share = 1 - min(self.decay, (1 + n) / (10 + n))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, weights, share)
        else:  # counters among the buffers
            torch._foreach_copy_(averages, weights)

    # Lightning makes the average in `setup`, when our Learner has no parameters yet

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        pass

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
        self._average_model = None  # else a test after fit would take the weights
