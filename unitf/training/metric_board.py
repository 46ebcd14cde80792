"""MetricBoard: the metrics of one split, for each task and modality."""

import math
import warnings
from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from typing import cast

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric, MetricCollection

from unitf.batch import TaskBatch
from unitf.errors import UserError
from unitf.tasks.metrics.confidence import Calibration
from unitf.tasks.metrics.task_metrics import checked_metrics
from unitf.tasks.task import Task, Tokenizers
from unitf.training.results import MetricValue, ReducingStrategy, SplitResults, TaskResults

ALL = "all"  # the modality that stands for all samples


def modalities(task: Task) -> list[str]:
    """Returns the modalities that samples of a task may have, named as in `TaskBatch.modalities`.

    A task of up to three inputs has every combination of them. A task of more inputs has each
    input alone, and "mixed" for all combinations.
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
    split: str, results: Mapping[str, TaskResults], weights: Mapping[str, float]
) -> dict[str, float]:
    """Returns all numbers under flat names, as loggers need them, and the loss of all tasks.

    Args:
        results: the results of one split.
        weights: the weight of each task's loss.
    """
    losses = [
        cast(float, by_modality[ALL]["loss"]) * weights[name]
        for name, by_modality in results.items()
        if "loss" in by_modality[ALL]  # else no sample of the split had anything to predict
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
    """The metrics of every task over one pass of a split, for all samples and by modality."""

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        super().__init__()
        self._counts: Counter[tuple[str, str]] = Counter()  # samples, by task and modality
        self.metrics: nn.ModuleDict = nn.ModuleDict(
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
        output: object,
        batch: TaskBatch,
        tokenizers: Tokenizers,
        losses: Tensor,
    ) -> None:
        """Counts the samples of one batch.

        Args:
            name: the name of the task.
            output: what `task.outputs` and `task.evaluate` returned for the batch.
            losses: what `task.losses` returned for the batch.
        """
        groups: dict[str, list[int]] = {}
        boards = self._boards(name)
        for number, modality in enumerate(batch.modalities):
            groups.setdefault(modality if modality in boards else "mixed", []).append(number)
        if not groups:
            return
        all_samples = list(range(batch.num_samples))
        self._counts[name, ALL] += len(all_samples)
        task.update_metrics(boards[ALL], output, batch, tokenizers, all_samples)
        values, means = losses.detach().float(), self._losses(name)
        weights = task.loss_weights(batch)
        weights = torch.ones_like(values) if weights is None else weights.to(values)
        if len(weights) != len(values):
            raise UserError(
                f"task {name} ({type(task).__name__}): found {len(values)} losses, expected "
                f"{len(weights)}, one for each of its loss_weights"
            )
        if weights.any():  # else nothing of the batch is to be predicted
            means[ALL].update(values, weights)
        for modality, numbers in groups.items():
            self._counts[name, modality] += len(numbers)
            task.update_metrics(boards[modality], output, batch, tokenizers, numbers)
            if task.loss_per_sample:
                means[modality].update(values[numbers], weights[numbers])
            elif len(boards) == 2 and len(values):  # there is one modality
                means[modality].update(values, weights)

    def compute(self, strategy: ReducingStrategy) -> SplitResults:
        """Returns the results over all processes, and resets the metrics.

        Modalities that no sample had are left out.

        Args:
            strategy: the strategy of the trainer.
        """
        results: SplitResults = {}
        for name in self.metrics:
            for modality, metrics in self._boards(name).items():
                losses = self._losses(name)[modality]
                seen = torch.tensor(
                    [losses.update_count, _updates(metrics), self._counts[name, modality]],
                    device=strategy.root_device,
                )
                seen_loss, seen_metrics, count = strategy.reduce(seen, reduce_op="sum").tolist()
                values: dict[str, MetricValue] = {}
                with warnings.catch_warnings():
                    # a process without such a sample must still take part in the sum
                    warnings.filterwarnings("ignore", message=".*was called before")
                    if seen_loss:
                        values["loss"] = losses.compute().item()
                    if seen_metrics:
                        values |= {
                            key: value.tolist() if value.numel() > 1 else value.item()
                            for key, value in metrics.compute().items()
                        }
                if modality == ALL:  # the first
                    self._share_temperature(name, values.get("temperature"))
                if values:
                    values.setdefault("num_samples", count)  # a plain MetricCollection has none
                    results.setdefault(name, {})[modality] = values
        self.reset()
        return results

    def reset(self) -> None:
        """Resets all metrics."""
        self._counts.clear()
        for module in self.modules():
            if isinstance(module, Metric):
                module.reset()

    def _share_temperature(self, name: str, temperature: MetricValue | None) -> None:
        """Measures the calibration of each modality at the temperature that predictions have."""
        if not isinstance(temperature, float):
            return
        for modality, metrics in self._boards(name).items():
            for metric in metrics.values() if modality != ALL else ():
                if isinstance(metric, Calibration):
                    metric.temperature = temperature

    def _boards(self, name: str) -> dict[str, MetricCollection]:
        return {
            modality: cast(MetricCollection, metrics["task"])
            for modality, metrics in self._by_modality(name).items()
        }

    def _losses(self, name: str) -> dict[str, MeanMetric]:
        return {
            modality: cast(MeanMetric, metrics["loss"])
            for modality, metrics in self._by_modality(name).items()
        }

    def _by_modality(self, name: str) -> dict[str, nn.ModuleDict]:
        return cast(dict[str, nn.ModuleDict], dict(cast(nn.ModuleDict, self.metrics[name]).items()))


def _with_loss(task: Task) -> nn.ModuleDict:
    metrics = checked_metrics(task.metrics(), type(task).__name__)
    # by default a mean would leave out NaN
    return nn.ModuleDict({"task": metrics, "loss": MeanMetric(nan_strategy="disable")})


def _updates(metrics: MetricCollection) -> int:
    return max((metric.update_count for metric in metrics.values()), default=0)
