"""Metrics of predicted numbers."""

import torch
from torch import Tensor
from torchmetrics import regression as scores


class R2(scores.R2Score):
    """R² for any number of samples: NaN, not an error, for fewer than two."""

    def __init__(self, size: int) -> None:
        super().__init__()
        if size > 1:  # before the first sample too: other processes may have one
            for name in ("sum_squared_error", "sum_error", "residual"):
                self.add_state(name, torch.zeros(size), dist_reduce_fx="sum")

    def compute(self) -> Tensor:
        """Returns R², or NaN."""
        return super().compute() if self.total > 1 else torch.tensor(torch.nan)


class Pearson(scores.PearsonCorrCoef):
    """The mean correlation over the numbers of a vector."""

    def compute(self) -> Tensor:
        """Returns the mean over the vector of Pearson's correlation."""
        return super().compute().mean()
