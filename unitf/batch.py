"""The data that data workers send to the device: encoded and packed samples for each task."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor

from unitf.features import Features, RawValue
from unitf.tokenizer.located_targets import LocatedTarget
from unitf.tokenizer.tokenizer import Tokenizer

Sample: TypeAlias = Mapping[str, RawValue]  # column → raw value; None: the sample lacks the column
"""A raw sample: its value in each column; a column that is absent or None is missing."""
TaskData: TypeAlias = Any  # what a task made for itself alone: a target, notes about a sample


@dataclass(frozen=True, eq=False)
class EncodedSample:
    """One sample, encoded for one task.

    Args:
        sample: the raw values by column.
        features: the tokens by column, without the columns that the sample lacks.
        inputs: the tokenizer that encoded each column.
        train: whether the values were augmented.
        located: the task's target that locates something in the values, as they were encoded; None:
            it has none.
    """

    sample: Sample
    features: Mapping[str, Features]
    inputs: Mapping[str, Tokenizer]
    train: bool
    located: LocatedTarget | None = None


class Counts(NamedTuple):
    """How much of something a part of an optimizer step has for one task.

    Args:
        samples: the number of samples that the task reads.
        losses: the number of losses that the task returns for them.
        tokens: the number of their tokens.
        objects: what else the task divides its losses by, as the number of objects to detect.
        weights: the sum of the weights of the losses; 0 if they have none.
    """

    samples: int
    losses: int
    tokens: int = 0
    objects: int = 0
    weights: float = 0.0

    @property
    def divisor(self) -> float:
        """What the sum of the losses is divided by: their weights, or else their number."""
        return float(self.weights or self.losses or 1)

    @classmethod
    def sum(cls, parts: Iterable["Counts"]) -> "Counts":
        """Returns the sum of the counts of all parts."""
        return cls(*(sum(numbers) for numbers in zip(*parts, strict=True)))


@dataclass(frozen=True)
class StepCounts:
    """What the whole optimizer step has for a task, of which a TaskBatch is one part.

    Args:
        total: the sum over all micro-batches of the step, in all processes.
        processes: of this micro-batch the part of each process, in the order of their ranks.
        rank: the number of this process.
    """

    total: Counts
    processes: tuple[Counts, ...]
    rank: int

    @property
    def own(self) -> Counts:
        """The counts of the batch itself."""
        return self.processes[self.rank]


@dataclass(frozen=True, eq=False)
class TaskBatch:
    """The samples of a batch that one task accepts; sequence s of every field is sample s.

    Args:
        features: S sequences by column; a sequence is empty where the sample lacks the column.
        target: what the task's `collate` made of S targets; None without labels.
        modalities: for each sample the columns that it has, as "image+question".
        names: for each sample a name that identifies it to a person.
        sample_infos: for each sample what the task's `sample_info` returned.
        sequence: S sequences of tokens, where the target is encoded by a tokenizer.
        counts: what the task's `counts` returned for this batch; None without labels.
        step: the counts of the whole optimizer step; None: this batch is all of it.
    """

    features: dict[str, Features]
    target: TaskData
    modalities: tuple[str, ...]
    names: tuple[str, ...]
    sample_infos: tuple[TaskData, ...] = ()
    sequence: Features | None = None
    counts: Counts | None = None
    step: StepCounts | None = None

    @property
    def num_samples(self) -> int:
        """The number of samples that the task reads."""
        return len(self.modalities)

    @property
    def num_tokens(self) -> int:
        """The number of tokens in all columns, and in the target if it is a sequence."""
        target = 0 if self.sequence is None else self.sequence.num_tokens
        return target + sum(features.num_tokens for features in self.features.values())

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "TaskBatch":
        """Returns a copy whose tensors are on `device`."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=non_blocking)

        return replace(
            self,
            features={k: f.to(device, non_blocking) for k, f in self.features.items()},
            target=_map_tensors(self.target, move),
            sequence=self.sequence and self.sequence.to(device, non_blocking),
        )

    def pin_memory(self) -> "TaskBatch":
        """Returns a copy whose tensors are in pinned memory."""
        return replace(
            self,
            features={k: f.pin_memory() for k, f in self.features.items()},
            target=_map_tensors(self.target, Tensor.pin_memory),
            sequence=self.sequence and self.sequence.pin_memory(),
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """One TaskBatch for each task, also for a task without samples.

    Args:
        task_batches: the batches by the name of the task.
        skipped: the errors of the samples that were left out (`on_error: skip`).
        step_fraction: this micro-batch's fraction of the tokens of its optimizer step; both are
            counted over all processes.
        ends_step: whether this is the last micro-batch of its optimizer step.
    """

    task_batches: dict[str, TaskBatch]
    skipped: tuple[str, ...] = field(default=())
    step_fraction: float = 1.0
    ends_step: bool = True

    @property
    def num_samples(self) -> int:
        """The number of samples of all tasks."""
        return sum(batch.num_samples for batch in self.task_batches.values())

    @property
    def num_tokens(self) -> int:
        """The number of tokens of all tasks."""
        return sum(batch.num_tokens for batch in self.task_batches.values())

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """Returns a copy whose tensors are on `device`."""
        return replace(
            self, task_batches={k: v.to(device, non_blocking) for k, v in self.task_batches.items()}
        )

    def pin_memory(self) -> "Batch":
        """Returns a copy whose tensors are in pinned memory."""
        return replace(self, task_batches={k: v.pin_memory() for k, v in self.task_batches.items()})


def _map_tensors(target: object, function: Callable[[Tensor], Tensor]) -> object:
    """Applies a function to a tensor, or to each tensor in a dictionary."""
    if isinstance(target, Tensor):
        return function(target)
    if isinstance(target, dict):
        items = cast(dict[str, object], target).items()
        return {key: _map_tensors(value, function) for key, value in items}
    return target
