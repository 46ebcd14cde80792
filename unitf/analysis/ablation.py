"""What each input of a model, and each column of a table, is worth to its tasks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypedDict, cast

import numpy as np
import torch

from unitf.batch import Sample
from unitf.data.encoder import Encoder, Item
from unitf.data.joined_columns import JoinedColumns
from unitf.data.seeding import mix
from unitf.errors import UserError, did_you_mean
from unitf.inference import evaluating
from unitf.model import Model
from unitf.tasks.task import Task


class AblatedInput(NamedTuple):
    """A part of a sample that is left out or permuted: an input, or a cell of a joined input."""

    input: str
    column: str | None = None  # of a joined input; None: all of it

    @property
    def label(self) -> str:
        """The name for a person."""
        return self.input if self.column is None else f"{self.input}.{self.column}"

    def value(self, sample: Sample) -> object:
        """Returns the value in a sample; None: the sample lacks it."""
        value = sample.get(self.input)
        if self.column is None:
            return value
        return value.get(self.column) if isinstance(value, Mapping) else None

    def changed(self, sample: Sample, value: object) -> Sample:
        """Returns the sample with another value; None: without it."""
        if self.column is not None:
            cells = {**cast("Mapping[str, object]", sample[self.input]), self.column: value}
            kept = {name: cell for name, cell in cells.items() if cell is not None}
            value = kept or None
        return {**sample, self.input: value}


class InputWorth(TypedDict):
    """How a figure of a task changes without an input.

    The differences are the figure of the whole samples less that of the changed ones. Samples that
    the task cannot use without the input are in neither figure of `left_out`.
    """

    input: str
    samples: int  # that have the input
    left_out: float | None  # the figure; None: no sample can do without the input
    left_out_difference: float | None
    left_out_samples: int
    permuted: float | None  # the mean over the permutations; None: fewer than two samples have it
    permuted_difference: float | None
    permuted_deviation: float | None


class TaskAblation(TypedDict):
    """What the inputs of one task are worth."""

    metric: str
    mode: str
    whole: float
    samples: int
    inputs: list[InputWorth]


class Ablator:
    """Measures a model on samples that lack an input, or have that of another sample.

    Args:
        model: the model.
        items: samples of a split, with targets.
        permutations: how often each input is permuted among the samples that have it.
        batch_size: the number of samples in a batch.
        seed: of the permutations.
    """

    def __init__(
        self,
        model: Model,
        items: Sequence[Item],
        permutations: int = 5,
        batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        self.model, self.permutations = model, permutations
        self.batch_size, self.seed = batch_size, seed
        self.join = JoinedColumns(model.tokenizers, model.tasks)
        self.items: list[Item] = [self._prepared(item) for item in items]

    def _prepared(self, item: Item) -> Item:
        """Returns the sample with its joined inputs, files found, and nothing that is not used."""
        if item.error:
            return item
        pairs = [pair for task in self.model.tasks.values() for pair in task.tokenized]
        sample = self.join(item.with_files(dict(self.model.tokenizers.items()), pairs))
        targets = [task.target for task in self.model.tasks.values() if task.target is not None]
        used = {*(column for column, _ in pairs), *targets}
        sample = {name: value for name, value in sample.items() if name in used}
        return item._replace(sample=sample, beside=None)

    def tasks(self, metrics: Mapping[str, str]) -> Iterator[tuple[str, TaskAblation]]:
        """Yields the name of each task, and what its inputs are worth.

        Args:
            metrics: the figure by the name of the task, where it is not the task's own.
        """
        for number, (name, task) in enumerate(self.model.tasks.items()):
            items = [item for item in self.items if not item.error and task.accepts(item.sample)]
            if not items:
                raise UserError(f"ablate: no sample of the split is for the task {name}")
            metric = metrics.get(name, task.monitor)
            whole = self._figure(name, items, metric)
            inputs = [
                self._worth(name, items, metric, whole, ablated, mix(self.seed, number, index))
                for index, ablated in enumerate(self._inputs(task, items))
            ]
            mode = task.mode if metric == task.monitor else "max"
            inputs.sort(key=_size, reverse=mode == "max")
            yield (
                name,
                TaskAblation(
                    metric=metric, mode=mode, whole=whole, samples=len(items), inputs=inputs
                ),
            )

    def _inputs(self, task: Task, items: Sequence[Item]) -> list[AblatedInput]:
        found: list[AblatedInput] = []
        for column in task.inputs:
            if column not in self.join.inputs or len(task.inputs) > 1:
                found.append(AblatedInput(column))
            if column in self.join.inputs:
                found += [AblatedInput(column, name) for name in self.join.columns(column)]
        return [one for one in found if any(one.value(i.sample) is not None for i in items)]

    def _worth(
        self,
        name: str,
        items: Sequence[Item],
        metric: str,
        whole: float,
        ablated: AblatedInput,
        seed: int,
    ) -> InputWorth:
        having = [n for n, i in enumerate(items) if ablated.value(i.sample) is not None]
        without, kept = self._without(name, items, ablated)
        left_out = self._figure(name, without, metric) if without else None
        before = whole if len(kept) == len(items) or not kept else self._figure(name, kept, metric)
        figures = [
            self._figure(name, self._permuted(items, ablated, having, mix(seed, turn)), metric)
            for turn in range(self.permutations if len(having) > 1 else 0)
        ]
        permuted = float(np.mean(figures)) if figures else None
        return InputWorth(
            input=ablated.label,
            samples=len(having),
            left_out=left_out,
            left_out_difference=None if left_out is None else before - left_out,
            left_out_samples=len(kept),
            permuted=permuted,
            permuted_difference=None if permuted is None else whole - permuted,
            permuted_deviation=float(np.std(figures)) if figures else None,
        )

    def _without(
        self, name: str, items: Sequence[Item], ablated: AblatedInput
    ) -> tuple[list[Item], list[Item]]:
        """Returns the samples without an input, and as they were, that the task can still use."""
        changed = [
            item
            if ablated.value(item.sample) is None
            else item._replace(sample=ablated.changed(item.sample, None))
            for item in items
        ]
        accepts = self.model.tasks[name].accepts
        pairs = zip(changed, items, strict=True)
        usable = [(new, old) for new, old in pairs if accepts(new.sample)]
        return [new for new, _ in usable], [old for _, old in usable]

    def _permuted(
        self, items: Sequence[Item], ablated: AblatedInput, having: Sequence[int], seed: int
    ) -> list[Item]:
        order = np.random.default_rng(seed).permutation(len(having))
        changed = list(items)
        for number, other in zip(having, order.tolist(), strict=True):
            value = ablated.value(items[having[other]].sample)
            sample = ablated.changed(items[number].sample, value)
            changed[number] = items[number]._replace(sample=sample)
        return changed

    @torch.inference_mode()
    def _figure(self, name: str, items: Sequence[Item], metric: str) -> float:
        """Returns a figure of a task on some samples."""
        task, tokenizers = self.model.tasks[name], dict(self.model.tokenizers.items())
        encode = Encoder(tokenizers, {name: task}, skip_targets=True)
        metrics, losses, weights = task.metrics().to(self.model.device), 0.0, 0.0
        with evaluating(self.model):
            for first in range(0, len(items), self.batch_size):
                batch = encode(items[first : first + self.batch_size]).to(self.model.device)
                part = batch.task_batches[name]
                if not part.num_samples:
                    continue
                output = self.model(replace(batch, task_batches={name: part}))[name]
                each = task.losses(output, part, tokenizers).double()
                weight = task.loss_weights(part)
                weight = torch.ones_like(each) if weight is None else weight.to(each)
                losses, weights = (
                    losses + float((each * weight).sum()),
                    weights + float(weight.sum()),
                )
                output = task.evaluate(output, part, tokenizers, self.model.core, True)
                task.update_metrics(metrics, output, part, tokenizers, range(part.num_samples))
        found = {"loss": losses / max(weights, 1e-12), **metrics.compute()}
        if metric not in found:
            raise UserError(f"task {name}: no figure {metric!r}" + did_you_mean(metric, found))
        return float(found[metric])


def _size(worth: InputWorth) -> float:
    difference = worth["permuted_difference"]
    return (worth["left_out_difference"] or 0.0) if difference is None else difference
