"""Regression: a number, or a vector of numbers, for each sample."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from unitf.batch import Sample, TaskBatch
from unitf.errors import UserError
from unitf.proposal import Column, Proposal
from unitf.tasks.common.pooled import Pooled
from unitf.tasks.common.recognised_targets import propose_numbers
from unitf.tasks.common.selection import take
from unitf.tasks.heads.head import Head, PooledHead
from unitf.tasks.heads.pooling import PoolingName
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import Prediction, Tokenizers

LOSSES: dict[str, Callable[..., Tensor]] = {
    "mse": functional.mse_loss,
    "huber": functional.huber_loss,
    "l1": functional.l1_loss,
}


class Regression(Pooled):
    """One number or several for each sample, standardised by the training samples.

    Args:
        loss: the loss of a standardised number; its mean over a sample's numbers is minimised.
        pooling: how a sequence's columns become one, as in Classification.
        dropout: the dropout of the pooled column, before the linear head.
        head: other layers between the pooled column and the numbers.
    """

    monitor = "rmse"
    searched: Mapping[str, object] = {"dropout": {"low": 0.0, "high": 0.5}}
    fitted_parameters: tuple[str, ...] = ("head.linear.",)

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
        self.loss: str = loss
        self.pooling: PoolingName = pooling
        self.dropout: float = dropout
        self.head_settings: Head | None = head

    @classmethod
    def recognise(cls, target: Column | None, inputs: Sequence[Column]) -> Proposal | None:
        """Recognises a target of numbers of many different values."""
        return None if target is None else propose_numbers(target)

    @property
    def _mean(self) -> list[float]:
        return cast("list[float]", self.fitted["mean"])

    @property
    def _deviation(self) -> list[float]:
        return cast("list[float]", self.fitted["deviation"])

    def numbers(self, sample: Sample) -> np.ndarray:
        """Returns the raw target of a sample: one number or more, in float64.

        Raises:
            UserError: a number is missing or not finite, or there is another number of them.
        """
        value = self._raw_target(sample)
        try:
            numbers = np.atleast_1d(np.asarray(value, dtype=np.float64))
        except (TypeError, ValueError):
            numbers = np.array([np.nan])
        if numbers.ndim > 1 or not numbers.size or not np.isfinite(numbers).all():
            raise UserError(
                f"target {self.target!r}: expected a finite number or a list of them, "
                f"found {str(value)[:80]!r}"
            )
        size = len(self._mean) if self.fitted else len(numbers)
        if len(numbers) != size:
            raise UserError(
                f"target {self.target!r}: expected {size} numbers as in the first training "
                f"sample, found {len(numbers)}"
            )
        return numbers

    def fit(self, samples: Iterable[Sample]) -> None:
        """Learns the mean and the deviation of the target in one pass (Welford, 1962)."""
        count, mean, squares = 0, np.zeros(1), np.zeros(1)
        for sample in samples:
            if self.accepts(sample):
                numbers = self.numbers(sample)
                if count == 0:
                    mean, squares = np.zeros(len(numbers)), np.zeros(len(numbers))
                    self.fitted: dict[str, object] = {
                        "mean": mean.tolist(),
                        "deviation": mean.tolist(),
                    }
                count += 1
                difference = numbers - mean
                mean = mean + difference / count
                squares = squares + difference * (numbers - mean)
        if count == 0:
            raise UserError(f"target {self.target!r}: no training sample has it")
        deviation = np.sqrt(squares / count)
        deviation[deviation == 0] = 1.0  # the bias alone learns a constant
        self.fitted = {"mean": mean.tolist(), "deviation": deviation.tolist()}

    @property
    def size(self) -> int:
        """The number of numbers that are predicted for each sample."""
        return len(self._mean)

    def encode_target(self, sample: Sample) -> Float[Tensor, " K"]:
        """Returns the standardised numbers.

        They are computed in float64, because float32 would lose digits of a date, for instance.
        """
        numbers = self.numbers(sample) - np.array(self._mean)
        return torch.from_numpy((numbers / np.array(self._deviation)).astype(np.float32))

    def make_parameters(self, dim: int) -> None:
        """Creates the head."""
        self.head: PooledHead = PooledHead(
            dim, self.size, self.pooling, self.dropout, self.head_settings
        )

    def losses(
        self, output: Float[Tensor, "S K"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " S"]:
        """Returns the loss of each sample, as the mean over its numbers."""
        if not batch.num_samples:
            return output.sum(1)
        return LOSSES[self.loss](output, batch.target, reduction="none").mean(1)

    def to_average(self, output: Float[Tensor, "S K"]) -> Float[Tensor, "S K"]:
        """Returns the standardised numbers."""
        return output

    def metrics(self) -> TaskMetrics:
        """Creates mean absolute error, root mean squared error, R² and Pearson's correlation."""
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
        """Updates the metrics in the target's unit."""
        if len(sequences):
            # without the mean: no metric changes, and a large mean would cost digits in float32
            unit = torch.tensor(self._deviation, device=output.device).float()
            predicted, target = take(output, sequences) * unit, take(batch.target, sequences) * unit
            if self.size == 1:
                predicted, target = predicted.squeeze(1), target.squeeze(1)
            metrics.update(predicted.contiguous(), target.contiguous())

    def predict(
        self, output: Float[Tensor, "S K"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[Prediction]:
        """Returns the number of each sample, or its list of numbers, in the target's unit."""
        unit = torch.tensor(self._deviation).double()
        mean = torch.tensor(self._mean).double()
        values = (output.detach().cpu().double() * unit + mean).tolist()
        return [{"value": row[0] if self.size == 1 else row} for row in values]
