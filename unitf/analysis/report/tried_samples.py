"""Tries a trained model on some samples of each split, for the page of a run."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from torch import Tensor

from unitf.batch import Sample, TaskBatch
from unitf.data.encoder import Encoder, Item
from unitf.data.epoch_sampler import SampleIndex
from unitf.data.joined_columns import JoinedColumns
from unitf.data.sample_dataset import SampleDataset
from unitf.errors import UserError
from unitf.inference import evaluating
from unitf.model import Model
from unitf.tasks.common.label_names import as_label
from unitf.tasks.metrics.metric_types import MetricCollection
from unitf.tasks.task import Prediction, Task

GROUPS: int = 60  # of samples, over which the bootstrap draws
ALL: str = "all"  # the modality that stands for all samples, as in metrics.json


@dataclass(frozen=True, eq=False)
class TriedSample:
    """A sample, and what a task said of it.

    Args:
        name: what a person calls the sample: its file, or its number in a source.
        split: the split it is of.
        sample: its columns, joined as the model reads them.
        target: the raw value that is right; None: the task has no target.
        prediction: what the task said.
        loss: its loss; None: the task's losses are not those of samples.
    """

    name: str
    split: str
    sample: Sample
    target: object
    prediction: Prediction
    loss: float | None

    @property
    def origin(self) -> str:
        """Its file or row, if its name tells; else the whole name."""
        found = re.search(r"\] \((.+)\)$", self.name)
        return self.name if found is None else found[1]

    @property
    def is_right(self) -> bool | None:
        """Whether the predicted label is the right one; None: no label is predicted."""
        if "label" not in self.prediction or self.target is None:
            return None
        try:
            return str(as_label(self.prediction["label"])) == str(as_label(self.target))
        except UserError:
            return None

    @property
    def confidence(self) -> float | None:
        """The probability of the predicted label."""
        probability = self.prediction.get("probability")
        return float(probability) if isinstance(probability, float) else None

    def numbers(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Returns predicted and right numbers of one shape; None: no numbers are predicted."""
        if self.is_right is not None or self.target is None:
            return None
        try:
            right = np.asarray(self.target, dtype=np.float64)
        except (TypeError, ValueError):
            return None
        for value in self.prediction.values():
            if isinstance(value, float | list) and not isinstance(value, str):
                try:
                    predicted = np.asarray(value, dtype=np.float64)
                except (TypeError, ValueError):
                    continue
                if predicted.shape == right.shape:
                    return predicted, right
        return None

    def band(self) -> tuple[np.ndarray, np.ndarray, str] | None:
        """Returns the lowest and the highest of predicted quantiles, and a name of both.

        A task predicts quantiles as a dictionary: probability → numbers of the target's shape.
        """
        pair = self.numbers()
        if pair is None:
            return None
        for value in self.prediction.values():
            if isinstance(value, Mapping) and len(value) > 1:
                ends = list(cast("Mapping[str, object]", value).items())
                try:
                    low, high = (
                        np.asarray(end, dtype=np.float64) for _, end in (ends[0], ends[-1])
                    )
                except (TypeError, ValueError):
                    continue
                if low.shape == high.shape == pair[1].shape:
                    return low, high, f"{ends[0][0]} to {ends[-1][0]}"
        return None


@dataclass(eq=False)
class TriedSplit:
    """What a task was tried on in one split.

    Args:
        total: the number of samples of the split, also of those that were not tried.
        samples: those that were tried.
        groups: the metrics of groups of samples, by modality.
    """

    total: int = 0
    samples: list[TriedSample] = field(default_factory=list)
    groups: dict[str, list[MetricCollection]] = field(default_factory=dict)


class SampleTrier:
    """Tries a model on samples of a split that are drawn by chance.

    Args:
        model: the trained model.
        batch_size: the largest number of samples at once.
    """

    def __init__(self, model: Model, batch_size: int = 32) -> None:
        self.model, self.batch_size = model, batch_size
        self._tokenizers = dict(model.tokenizers.items())
        self._tasks = dict(model.tasks.items())
        self._join = JoinedColumns(model.tokenizers, model.tasks)
        self._encode = Encoder(self._tokenizers, self._tasks, on_error="skip", skip_targets=True)

    def prepared(self, item: Item) -> Item:
        """Returns a sample as the model reads it: joined, and with the paths of its files."""
        if item.error:
            return item
        pairs = [pair for task in self._tasks.values() for pair in task.tokenized]
        sample = self._join(item.with_files(self._tokenizers, pairs))
        return item._replace(sample=sample, beside=None)

    @torch.inference_mode()
    def split(
        self,
        split: str,
        sources: dict[str, Sequence[Sample]],
        limit: int,
        seconds: float = float("inf"),
    ) -> dict[str, TriedSplit]:
        """Tries each task on at most `limit` samples of a split, for about so many seconds.

        Args:
            split: the name of the split.
            sources: its samples, by the name of the source.
        """
        dataset = SampleDataset(split, sources)
        numbers = drawn(dataset.counts, limit)
        tried = {name: TriedSplit() for name in self._tasks}
        end, size, first = time.monotonic() + seconds, 2, 0
        most = max(1, min(self.batch_size, -(-len(numbers) // GROUPS)))
        with evaluating(self.model):
            while first < len(numbers) and time.monotonic() < end:
                size, began = min(size, most), time.monotonic()
                items = [self.prepared(dataset[n]) for n in numbers[first : first + size]]
                self._try(split, items, tried)
                first = min(first + size, len(numbers))
                if time.monotonic() - began < seconds / GROUPS:
                    size *= 2
        for one in tried.values():  # of a task that reads some of the samples
            one.total = round(sum(dataset.counts) * len(one.samples) / max(first, 1))
            if first >= len(numbers) == sum(dataset.counts):
                one.total = len(one.samples)
        return tried

    def _try(self, split: str, items: Sequence[Item], tried: Mapping[str, TriedSplit]) -> None:
        by_name = {item.name: item for item in items}
        batch = self._encode(items).to(self.model.device)
        if not batch.num_samples:
            return
        outputs = cast("dict[str, object]", self.model(batch))
        for name, part in batch.task_batches.items():
            if part.num_samples:
                task = self._tasks[name]
                losses = _losses(task, outputs[name], part, self._tokenizers)
                output = task.evaluate(
                    outputs[name], part, self._tokenizers, self.model.core, testing=True
                )
                self._count(task, output, part, tried[name])
                said = task.predict(output, part, self._tokenizers)
                tried[name].samples += [
                    _tried(task, split, by_name[called], prediction, loss)
                    for called, prediction, loss in zip(part.names, said, losses, strict=True)
                ]

    def _count(self, task: Task, output: object, part: TaskBatch, tried: TriedSplit) -> None:
        """Updates metrics of their own with a batch, and with its samples of each modality."""
        modalities = dict.fromkeys(part.modalities) if len(task.inputs) > 1 else ()
        for modality in [ALL, *modalities]:
            numbers = [n for n, m in enumerate(part.modalities) if modality in (ALL, m)]
            metrics = task.metrics().to(self.model.device)
            task.update_metrics(metrics, output, part, self._tokenizers, numbers)
            tried.groups.setdefault(modality, []).append(metrics)


def drawn(counts: Sequence[int], limit: int) -> list[SampleIndex]:
    """Returns the numbers of at most `limit` samples of all sources, in an order by chance."""
    ends = np.cumsum(counts, dtype=np.int64)
    chosen = np.random.default_rng(0).permutation(sum(counts))[:limit]
    sources = np.searchsorted(ends, chosen, side="right")
    return [
        SampleIndex(int(source), 0, int(index - ends[source] + counts[source]))
        for source, index in zip(sources, chosen, strict=True)
    ]


def _losses(
    task: Task, output: object, part: TaskBatch, tokenizers: Mapping[str, object]
) -> Iterator[float | None]:
    if not task.loss_per_sample:
        return iter([None] * part.num_samples)
    losses: Tensor = task.losses(output, part, cast("dict", tokenizers))
    return iter(losses.float().tolist())


def _tried(
    task: Task, split: str, item: Item, prediction: Prediction, loss: float | None
) -> TriedSample:
    target = None if task.target is None else item.sample.get(task.target)
    return TriedSample(item.name, split, item.sample, target, prediction, loss)
