"""The figures of one split: for each task and modality, its metrics."""

import math
import warnings
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric, MetricCollection

from unitf.batch import TaskBatch
from unitf.tasks.task import Task, Tokenizers

ALL = "all"


def modalities(task: Task) -> list[str]:
    """What the samples of a task may bring, as `View.modalities` names it.

    Every combination of up to three inputs; of more, each alone, and "mixed".
    """
    columns = list(task.inputs)
    if len(columns) > 3:
        return [*columns, "mixed"]
    return [
        "+".join(chosen)
        for size in range(1, len(columns) + 1)
        for chosen in combinations(columns, size)
    ]


def flat_metrics(
    split: str, results: Mapping[str, Any], weights: Mapping[str, float]
) -> dict[str, float]:
    """All figures by one name each, as loggers want them, with the loss of all tasks."""
    losses = [
        by_modality[ALL]["loss"] * weights[name]
        for name, by_modality in results.items()
        if "loss" in by_modality[ALL]  # else nothing of the split was to be predicted
    ]
    flat = {f"{split}/loss": math.fsum(losses) / max(len(losses), 1)}
    for name, by_modality in results.items():
        for modality, metrics in by_modality.items():
            prefix = f"{split}/{name}" + ("" if modality == ALL else f"/{modality}")
            flat |= {
                f"{prefix}/{metric}": value
                for metric, value in metrics.items()
                if not isinstance(value, list)
            }
    return flat


class MetricBoard(nn.Module):
    """Metrics of every task, for all samples and by modality, over one pass of a split."""

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        super().__init__()
        self.metrics = nn.ModuleDict(
            {
                name: nn.ModuleDict(
                    {modality: _with_loss(task) for modality in (ALL, *modalities(task))}
                )
                for name, task in tasks.items()
            }
        )

    def update(
        self,
        name: str,
        task: Task,
        output: Any,
        batch: TaskBatch,
        tokenizers: Tokenizers,
        losses: Tensor,
    ) -> None:
        """Counts the samples of one view."""
        groups: dict[str, list[int]] = {}
        boards = self._boards(name)
        for number, modality in enumerate(batch.modalities):
            groups.setdefault(modality if modality in boards else "mixed", []).append(number)
        if not groups:
            return
        everyone = list(range(batch.num_samples))
        task.update_metrics(boards[ALL], output, batch, tokenizers, everyone)
        lost, mean = losses.detach().float(), self._losses(name)
        if len(lost):  # none: nothing of the batch is to be predicted
            mean[ALL].update(lost)
        for modality, numbers in groups.items():
            task.update_metrics(boards[modality], output, batch, tokenizers, numbers)
            if task.loss_per_sample:
                mean[modality].update(lost[numbers])
            elif len(boards) == 2 and len(lost):  # there is one modality
                mean[modality].update(lost)

    def compute(self, strategy: Any) -> dict[str, dict[str, dict[str, float | list]]]:
        """task → modality → metric → figure; what no sample brought is left out.

        Args:
            strategy: Lightning's, whose `reduce` sums over all processes.
        """
        results: dict[str, dict[str, dict[str, float | list]]] = {}
        for name in self.metrics:
            for modality, metrics in self._boards(name).items():
                losses = self._losses(name)[modality]
                seen = torch.tensor(
                    [float(losses.update_count), float(_updates(metrics))],
                    device=strategy.root_device,
                )
                seen_loss, seen_metrics = strategy.reduce(seen, reduce_op="sum").tolist()
                values: dict[str, float | list] = {}
                with warnings.catch_warnings():
                    # a process that saw no such sample still takes part in the sum
                    warnings.filterwarnings("ignore", message=".*was called before")
                    if seen_loss:
                        values["loss"] = losses.compute().item()
                    if seen_metrics:
                        values |= {
                            key: value.tolist() if value.numel() > 1 else value.item()
                            for key, value in metrics.compute().items()
                        }
                if values:
                    results.setdefault(name, {})[modality] = values
        self.reset()
        return results

    def reset(self) -> None:
        """Forgets what was counted."""
        for module in self.modules():
            if isinstance(module, Metric):
                module.reset()

    def _boards(self, name: str) -> dict[str, MetricCollection]:
        boards: Any = self.metrics[name]
        return {modality: board["task"] for modality, board in boards.items()}

    def _losses(self, name: str) -> dict[str, MeanMetric]:
        boards: Any = self.metrics[name]
        return {modality: board["loss"] for modality, board in boards.items()}


def _with_loss(task: Task) -> nn.ModuleDict:
    # by default a mean leaves out what is not a number
    return nn.ModuleDict({"task": task.metrics(), "loss": MeanMetric(nan_strategy="disable")})


def _updates(metrics: MetricCollection) -> int:
    return max((metric.update_count for metric in metrics.values()), default=0)
