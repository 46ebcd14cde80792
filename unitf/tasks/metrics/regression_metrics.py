"""Metrics of numbers."""

import torch
from torch import Tensor
from torchmetrics import regression as scores


class R2(scores.R2Score):
    """R² of any number of samples: of fewer than two it is undefined, not an error."""

    def __init__(self, size: int) -> None:
        super().__init__()
        if size > 1:  # also before the first sample, for the processes that have one
            for name in ("sum_squared_error", "sum_error", "residual"):
                self.add_state(name, torch.zeros(size), dist_reduce_fx="sum")

    def compute(self) -> Tensor:
        return super().compute() if self.total > 1 else torch.tensor(torch.nan)


class Pearson(scores.PearsonCorrCoef):
    """The mean correlation over the numbers of a vector."""

    def compute(self) -> Tensor:
        return super().compute().mean()
