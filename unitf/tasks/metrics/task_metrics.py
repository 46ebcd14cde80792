"""Figures: a task's metrics, of which an undefined one is left out and not warned about."""

import math
import warnings
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAUROC, MultilabelAUROC
from torchmetrics.utilities import dim_zero_cat


class TaskMetrics(MetricCollection):
    """Metrics by name; `compute` gives those that are defined, and how many samples there were.

    One without samples, an AUROC with one class or a correlation of constants says nothing: it is
    no figure, rather than a NaN or a warning in every epoch. Every process computes all of them,
    also without a sample of its own: the others wait for it.
    """

    def __init__(self, metrics: dict[str, Metric]) -> None:
        everything: Any = {**metrics, "num_samples": SampleCount()}
        # groups share states by comparing values, which costs a synchronisation and saves little
        super().__init__(everything, compute_groups=False)

    def compute(self) -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figures = super().compute()
        if figures["num_samples"] == 0:
            return {}
        return {name: value for name, value in figures.items() if _is_defined(value)}


class SampleCount(Metric):
    """How many samples there were: rows of the target."""

    full_state_update = False
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, target: Tensor) -> None:
        self.count += target.shape[0]

    def compute(self) -> Tensor:
        return self.count


class MacroAUROC(MulticlassAUROC):
    """Area under the ROC curve, a class against the rest: the mean over classes that occur."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes, average="none")
        _begin(self)

    def reset(self) -> None:
        super().reset()
        _begin(self)

    def compute(self) -> Tensor:
        counts = dim_zero_cat(self.target).bincount(minlength=self.num_classes)
        defined = (counts > 0) & (counts < counts.sum())
        if not defined.any():
            return torch.tensor(torch.nan)
        return super().compute()[defined].mean()  # type: ignore[index]


class MacroLabelAUROC(MultilabelAUROC):
    """Area under the ROC curve: the mean over labels that some samples have and some have not."""

    def __init__(self, num_labels: int) -> None:
        super().__init__(num_labels, average="none")
        _begin(self)

    def reset(self) -> None:
        super().reset()
        _begin(self)

    def compute(self) -> Tensor:
        target = dim_zero_cat(self.target)
        defined = target.any(0) & (target == 0).any(0)
        if not defined.any():
            return torch.tensor(torch.nan)
        return super().compute()[defined].mean()  # type: ignore[index]


def _begin(metric: MulticlassAUROC | MultilabelAUROC) -> None:
    """No sample, but in the shape and type of samples.

    torchmetrics gathers an empty list as float32, which the int64 of a process that has samples
    turns into a crash or a hang.
    """
    size: Any = metric.num_labels if isinstance(metric, MultilabelAUROC) else metric.num_classes
    shape = (0, size) if isinstance(metric, MultilabelAUROC) else (0,)
    metric.preds = [torch.zeros(0, size, device=metric.device)]
    metric.target = [torch.zeros(shape, dtype=torch.long, device=metric.device)]


def _is_defined(value: Any) -> bool:
    if not isinstance(value, Tensor):
        return math.isfinite(value)
    return value.numel() > 0 and not bool(value.isnan().any())
