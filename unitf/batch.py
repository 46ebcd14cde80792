"""What data workers hand to the device: for each task, its samples, encoded and packed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Features

Sample = Mapping[str, Any]  # column → raw value; a column that is missing or None is lacking


@dataclass(frozen=True, eq=False)
class EncodedSample:
    """One sample, encoded for one task."""

    sample: Sample
    features: Mapping[str, Features]  # column → its tokens; what the sample lacks is not there
    inputs: Mapping[str, Tokenizer]  # column → what encoded it
    train: bool  # whether it was augmented


@dataclass(frozen=True, eq=False)
class TaskBatch:
    """The samples of a batch that one task takes; sequence s of everything is sample s."""

    features: dict[str, Features]  # column → S sequences, empty where a sample lacks the column
    target: Any  # what the task's `collate` made of S targets; None where there are none
    modalities: tuple[str, ...]  # of each sample: the columns that it brought, as "image+question"
    names: tuple[str, ...]  # of each sample, to tell a person which one it is
    sample_infos: tuple[Any, ...] = ()  # of each sample: what the task noted of its raw values
    sequence: Features | None = None  # the target, where a tokenizer encodes it: S sequences

    @property
    def num_samples(self) -> int:
        """The number of samples that the task reads."""
        return len(self.modalities)

    @property
    def num_tokens(self) -> int:
        """The number of tokens in all columns, and in the target where it is a sequence."""
        target = 0 if self.sequence is None else self.sequence.num_tokens
        return target + sum(features.num_tokens for features in self.features.values())

    def to(self, device: Any, non_blocking: bool = False) -> "TaskBatch":
        """A copy whose tensors are on `device`."""
        return replace(
            self,
            features={k: f.to(device, non_blocking) for k, f in self.features.items()},
            target=_each(self.target, lambda t: t.to(device, non_blocking=non_blocking)),
            sequence=self.sequence and self.sequence.to(device, non_blocking),
        )

    def pin_memory(self) -> "TaskBatch":
        """A copy whose tensors are in pinned memory."""
        return replace(
            self,
            features={k: f.pin_memory() for k, f in self.features.items()},
            target=_each(self.target, lambda t: t.pin_memory()),
            sequence=self.sequence and self.sequence.pin_memory(),
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """A View for each task, by the task's name; a task without samples has a View of none."""

    task_batches: dict[str, TaskBatch]
    skipped: tuple[str, ...] = field(default=())  # the errors of samples left out (on_error: skip)

    @property
    def num_samples(self) -> int:
        """The number of samples of all tasks."""
        return sum(batch.num_samples for batch in self.task_batches.values())

    @property
    def num_tokens(self) -> int:
        """The number of tokens of all tasks."""
        return sum(batch.num_tokens for batch in self.task_batches.values())

    def to(self, device: Any, non_blocking: bool = False) -> "Batch":
        """A copy whose tensors are on `device`."""
        return replace(
            self, task_batches={k: v.to(device, non_blocking) for k, v in self.task_batches.items()}
        )

    def pin_memory(self) -> "Batch":
        """A copy whose tensors are in pinned memory."""
        return replace(self, task_batches={k: v.pin_memory() for k, v in self.task_batches.items()})


def _each(target: Any, function: Any) -> Any:
    if isinstance(target, Tensor):
        return function(target)
    if isinstance(target, dict):
        return {key: _each(value, function) for key, value in target.items()}
    return target
