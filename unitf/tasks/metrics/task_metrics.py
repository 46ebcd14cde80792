"""TaskMetrics: a task's metrics; undefined ones are left out without a warning."""

import math
import warnings
from typing import cast

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAUROC, MultilabelAUROC
from torchmetrics.utilities import dim_zero_cat

from unitf.errors import UserError


class TaskMetrics(MetricCollection):
    """Metrics by name; `compute` returns the defined ones, and the number of samples.

    Use it if every metric takes (prediction, target): call `metrics.update(prediction, target)`
    once, for all of them. If your metrics take something else (a mean of numbers that the task
    computes itself), use `torchmetrics.MetricCollection` and update each by its name.

    A metric without samples, an AUROC with one class and a correlation of constants are undefined.
    They are left out, so that there is no NaN and no warning in every epoch. Every process
    computes all metrics, even if it has no sample: the other processes wait for it.
    """

    def __init__(self, metrics: dict[str, Metric]) -> None:
        everything: dict[str, Metric | MetricCollection] = {**metrics}
        everything["num_samples"] = SampleCount()
        # compute groups compare values, which synchronises the device and saves little
        super().__init__(everything, compute_groups=False)

    def compute(self) -> dict[str, Tensor | float]:
        """Returns the values of all defined metrics; none if there was no sample."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = super().compute()
        if values["num_samples"] == 0:
            return {}
        return {name: value for name, value in values.items() if _is_defined(value)}


def checked_metrics(metrics: object, owner: str) -> MetricCollection:
    """Returns what `metrics` of a task gave.

    Args:
        metrics: what it gave.
        owner: the name of the task's class, for the message.

    Raises:
        UserError: it is no MetricCollection.
    """
    if not isinstance(metrics, MetricCollection):
        raise UserError(
            f"{owner}.metrics: found {type(metrics).__name__}, expected a "
            "torchmetrics.MetricCollection or a unitf.tasks.TaskMetrics"
        )
    return metrics


class SampleCount(Metric):
    """The number of samples, which are the rows of the target."""

    full_state_update: bool | None = False
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Adds the number of rows of `target`."""
        self.count += target.shape[0]

    def compute(self) -> Tensor:
        """Returns the number of samples."""
        return self.count


class MacroAUROC(MulticlassAUROC):
    """Area under the ROC curve of each class against the rest: the mean over occurring classes."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes, average="none")
        _begin(self)

    def reset(self) -> None:
        """Removes all samples."""
        super().reset()
        _begin(self)

    def compute(self) -> Tensor:
        """Returns the mean over the classes that occur, or NaN."""
        counts = dim_zero_cat(self.target).bincount(minlength=self.num_classes)
        defined = (counts > 0) & (counts < counts.sum())
        if not defined.any():
            return torch.tensor(torch.nan)
        return cast(Tensor, super().compute())[defined].mean()


class MacroLabelAUROC(MultilabelAUROC):
    """Area under the ROC curve: the mean over labels that some samples have and others lack."""

    def __init__(self, num_labels: int) -> None:
        super().__init__(num_labels, average="none")
        _begin(self)

    def reset(self) -> None:
        """Removes all samples."""
        super().reset()
        _begin(self)

    def compute(self) -> Tensor:
        """Returns the mean over the labels that are defined, or NaN."""
        target = dim_zero_cat(self.target)
        defined = target.any(0) & (target == 0).any(0)
        if not defined.any():
            return torch.tensor(torch.nan)
        return cast(Tensor, super().compute())[defined].mean()


def _begin(metric: MulticlassAUROC | MultilabelAUROC) -> None:
    """Puts empty tensors into a metric, with the shapes and types of samples.

    torchmetrics gathers an empty list as float32. If another process has samples (int64), that
    crashes or hangs.
    """
    size = metric.num_labels if isinstance(metric, MultilabelAUROC) else metric.num_classes
    shape = (0, size) if isinstance(metric, MultilabelAUROC) else (0,)
    metric.preds = [torch.zeros(0, size, device=metric.device)]
    metric.target = [torch.zeros(shape, dtype=torch.long, device=metric.device)]


def _is_defined(value: Tensor | float) -> bool:
    if not isinstance(value, Tensor):
        return math.isfinite(value)
    return value.numel() > 0 and not bool(value.isnan().any())
