"""Regression: a number, or a vector of numbers, for each sample."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from unitf.batch import Sample, TaskBatch
from unitf.errors import UserError
from unitf.tasks.common.pooled import Pooled
from unitf.tasks.common.selection import take
from unitf.tasks.heads.head import Head, PooledHead
from unitf.tasks.heads.pooling import PoolingName
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import Tokenizers

LOSSES = {
    "mse": functional.mse_loss,
    "huber": functional.huber_loss,
    "l1": functional.l1_loss,
}


class Regression(Pooled):
    """Numbers for each sample, learned as multiples of their deviation in the training data.

    Args:
        loss: of the standardised numbers; its mean over a sample's numbers is minimised.
        pooling: as in Classification.
        head: as in Classification.
    """

    monitor = "rmse"
    fitted_parameters = ("head.linear.",)

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        loss: Literal["mse", "huber", "l1"] = "mse",
        pooling: PoolingName = "mean",
        dropout: float = 0.0,
        weight: float = 1.0,
        head: Head | None = None,
    ) -> None:
        super().__init__(inputs, target, weight)
        self.loss = loss
        self.pooling: PoolingName = pooling
        self.dropout = dropout
        self.head_settings = head

    def numbers(self, sample: Sample) -> np.ndarray:
        """The raw target of a sample: one number or more, in float64."""
        value = sample[self.target]  # type: ignore[index]
        try:
            numbers = np.atleast_1d(np.asarray(value, dtype=np.float64))
        except (TypeError, ValueError):
            numbers = np.array([np.nan])
        if numbers.ndim > 1 or not numbers.size or not np.isfinite(numbers).all():
            raise UserError(
                f"target {self.target!r}: expected a finite number or a list of them, "
                f"found {str(value)[:80]!r}"
            )
        size = len(self.fitted["mean"]) if self.fitted else len(numbers)
        if len(numbers) != size:
            raise UserError(
                f"target {self.target!r}: expected {size} numbers as in the first training "
                f"sample, found {len(numbers)}"
            )
        return numbers

    def fit(self, samples: Iterable[Sample]) -> None:
        """Mean and deviation of the target, in one pass (Welford, 1962)."""
        count, mean, squares = 0, np.zeros(1), np.zeros(1)
        for sample in samples:
            if self.accepts(sample):
                numbers = self.numbers(sample)
                if count == 0:
                    mean, squares = np.zeros(len(numbers)), np.zeros(len(numbers))
                    self.fitted = {"mean": mean.tolist(), "deviation": mean.tolist()}
                count += 1
                step = numbers - mean
                mean = mean + step / count
                squares = squares + step * (numbers - mean)
        if count == 0:
            raise UserError(f"target {self.target!r}: no training sample has it")
        deviation = np.sqrt(squares / count)
        deviation[deviation == 0] = 1.0  # a constant is learned by the bias alone
        self.fitted = {"mean": mean.tolist(), "deviation": deviation.tolist()}

    @property
    def size(self) -> int:
        """How many numbers are predicted for each sample."""
        return len(self.fitted["mean"])

    def encode_target(self, sample: Sample) -> Float[Tensor, " K"]:
        """Standardised in float64: a date or an altitude loses nothing to float32."""
        numbers = self.numbers(sample) - np.array(self.fitted["mean"])
        return torch.from_numpy((numbers / np.array(self.fitted["deviation"])).astype(np.float32))

    def make_parameters(self, dim: int) -> None:
        self.head = PooledHead(dim, self.size, self.pooling, self.dropout, self.head_settings)

    def losses(
        self, output: Float[Tensor, "S K"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " S"]:
        if not batch.num_samples:
            return output.sum(1)
        return LOSSES[self.loss](output, batch.target, reduction="none").mean(1)

    def metrics(self) -> TaskMetrics:
        from torchmetrics import regression as scores

        from unitf.tasks.metrics.regression_metrics import R2, Pearson
        from unitf.tasks.metrics.task_metrics import TaskMetrics

        return TaskMetrics(
            {
                "mae": scores.MeanAbsoluteError(),
                "rmse": scores.MeanSquaredError(squared=False),
                "r2": R2(self.size),
                "pearson": Pearson(self.size),
            }
        )

    def update_metrics(
        self,
        metrics: TaskMetrics,
        output: Float[Tensor, "S K"],
        batch: TaskBatch,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        if len(sequences):
            # in the target's unit, but around its mean: all four figures are the same, and
            # float32 does not lose them to a large mean
            unit = torch.tensor(self.fitted["deviation"], device=output.device).float()
            predicted, target = take(output, sequences) * unit, take(batch.target, sequences) * unit
            if self.size == 1:
                predicted, target = predicted.squeeze(1), target.squeeze(1)
            metrics.update(predicted.contiguous(), target.contiguous())

    def predict(
        self, output: Float[Tensor, "S K"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[dict[str, Any]]:
        unit, mean = (torch.tensor(self.fitted[k]).double() for k in ("deviation", "mean"))
        values = (output.detach().cpu().double() * unit + mean).tolist()
        return [{"value": row[0] if self.size == 1 else row} for row in values]
