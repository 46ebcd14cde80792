"""Encoder: turns samples into a Batch, in data workers."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import nn

from unitf.batch import Batch, EncodedSample, Sample, TaskBatch
from unitf.data.seeding import kept_random_state, mix, seed_host
from unitf.errors import SampleError, UserError, did_you_mean
from unitf.tasks.task import Task
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Features

OnError = Literal["raise", "skip"]


class Item(NamedTuple):
    """A sample on its way into a batch."""

    sample: Sample
    name: str  # to tell a person which one it is: "drawn/train[17]", or a file
    index: int = 0  # (epoch, index) is the same for no two samples that a run draws
    epoch: int = 0
    train: bool = False  # whether to augment
    error: str = ""  # why it could not be read


@dataclass(frozen=True)
class Failure:
    """An error on its way from a worker, as one line instead of a worker's traceback."""

    message: str


class _Encoded(NamedTuple):
    """A sample, encoded: its Features by (column, tokenizer), and for each task that takes it
    the task's note, and its target if it is labelled."""

    item: Item
    features: dict[tuple[str, str], Features]
    sample_infos: dict[str, Any]
    targets: dict[str, Any]
    sequences: dict[str, Features]  # … and those that are sequences of tokens


@dataclass(frozen=True)
class _Expected:
    """What a tokenizer said that its Features are like."""

    kind: str  # the class, for messages
    vocabulary: int | None
    height: int | None  # F
    axes: int  # P
    longest: int | None
    none: Features  # of S = 0 sequences

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "_Expected":
        return cls(
            kind=type(tokenizer).__name__,
            vocabulary=tokenizer.vocabulary_size,
            height=tokenizer.num_features,
            axes=tokenizer.num_axes,
            longest=tokenizer.max_tokens,
            none=replace(tokenizer.empty(), lengths=()),
        )

    def check(self, features: Any) -> None:
        """Shapes and types of one sample's Features; numbers are checked batch by batch."""
        if not isinstance(features, Features):
            raise UserError(f"{self.kind}.encode gave {type(features).__name__}, expected Features")
        values, positions = features.values, features.positions
        count = values.shape[-1]
        if self.vocabulary is not None:
            if values.ndim != 1 or values.dtype not in (torch.int64, torch.int32):
                raise UserError(f"{self.kind}.encode gave {_say(values)}, expected ids int64 (N)")
        elif values.ndim != 2 or values.dtype != torch.float32 or values.shape[0] != self.height:
            raise UserError(
                f"{self.kind}.encode gave {_say(values)}, expected float32 {self.height}×N"
            )
        if positions.ndim != 2 or positions.shape[1] != count or positions.shape[0] != self.axes:
            raise UserError(
                f"{self.kind}.encode gave positions {_say(positions)}, expected {self.axes}×{count}"
            )
        if features.lengths != (count,):
            raise UserError(f"{self.kind}.encode gave {len(features.lengths)} sequences, not one")
        if count == 0:
            raise UserError(f"{self.kind} found nothing to make a token of")
        if self.longest is not None and count > self.longest:
            raise UserError(f"{count} tokens of {self.kind}, expected at most {self.longest}")

    def fault(self, features: Features) -> str:
        """What is wrong with the numbers; nothing, as a rule."""
        values = features.values
        if values.numel() == 0:
            return ""
        if self.vocabulary is not None:
            low, high = (int(end) for end in torch.aminmax(values))
            if low < 0 or high >= self.vocabulary:
                return f"{self.kind}.encode gave id {low if low < 0 else high}, expected 0 to " + (
                    f"{self.vocabulary - 1}"
                )
        elif not torch.isfinite(values).all():
            return f"{self.kind}.encode gave numbers that are not finite (NaN or infinite)"
        if not torch.isfinite(features.positions).all():
            return f"{self.kind}.encode gave positions that are not finite"
        return ""


def _say(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {'×'.join(map(str, tensor.shape))}"


class Encoder:
    """Turns a list of Items into a Batch; a loader's `collate_fn`, and used alone to predict.

    Args:
        tokenizers: by name, fitted.
        tasks: by name, fitted.
        labelled: whether a sample must have a target (not so when predicting).
        on_error: "raise" a SampleError for a sample that cannot be read, or "skip" it: the batch
            then lacks it and holds the message.
        seed: with an item's epoch and index it seeds the augmentation of a training sample.
    """

    def __init__(
        self,
        tokenizers: Mapping[str, Tokenizer] | nn.ModuleDict,
        tasks: Mapping[str, Task] | nn.ModuleDict,
        labelled: bool = True,
        on_error: OnError = "raise",
        seed: int = 0,
    ) -> None:
        self.tokenizers: dict[str, Any] = dict(tokenizers.items())
        self.tasks: dict[str, Any] = dict(tasks.items())
        self.labelled = labelled
        self.on_error = on_error
        self.seed = seed
        for name, task in self.tasks.items():
            for column, tokenizer in task.tokenized:
                if tokenizer not in self.tokenizers:
                    raise UserError(
                        f"task {name}: column {column} names the tokenizer {tokenizer!r}"
                        + did_you_mean(tokenizer, self.tokenizers, "there are")
                    )
        self._inputs = {name: list(task.inputs.items()) for name, task in self.tasks.items()}
        self._expected = {name: _Expected.of(t) for name, t in self.tokenizers.items()}

    def __call__(self, items: Sequence[Item]) -> Batch:
        encoded: list[_Encoded] = []
        skipped: list[str] = []
        with kept_random_state() if any(item.train for item in items) else nullcontext():
            for item in items:
                try:
                    encoded.append(self._encode(item))
                except ValueError as error:
                    skipped.append(self._fail(item, error))
        task_batches = self._views(encoded)
        if self._faulty(task_batches):
            sound = []
            for sample in encoded:
                if fault := self._fault(sample):
                    skipped.append(self._fail(sample.item, UserError(fault)))
                else:
                    sound.append(sample)
            task_batches = self._views(sound)
        return Batch(task_batches, tuple(skipped))

    def item(self, index: int, sample: Sample) -> Item:
        """A raw sample that comes from no source, as an Item."""
        return Item(sample, f"sample {index}", index)

    def num_tokens(self, item: Item) -> int:
        """How many tokens the item brings to a batch, over all tasks, prefixes included."""
        encoded = self._encode(item)
        read = [
            (pair[1], encoded.features[pair])
            for task in encoded.sample_infos
            for pair in self._inputs[task]
            if pair in encoded.features
        ]
        read += [(self.tasks[task].target_tokenizer, f) for task, f in encoded.sequences.items()]
        return sum(sum(self.tokenizers[name].num_columns(features)) for name, features in read)

    def _fail(self, item: Item, error: ValueError) -> str:
        message = f"{item.name}: {error}"
        if self.on_error == "raise":
            raise SampleError(message) from error
        return message

    def _encode(self, item: Item) -> _Encoded:
        if item.error:
            raise UserError(item.error)
        if item.train:
            seed_host(mix(self.seed, item.epoch, item.index))
        sample = item.sample
        features: dict[tuple[str, str], Features] = {}
        sample_infos: dict[str, Any] = {}
        targets: dict[str, Any] = {}
        sequences: dict[str, Features] = {}
        for task_name, task in self.tasks.items():
            if not task.accepts(sample, self.labelled):
                continue
            for pair in self._inputs[task_name]:
                column, name = pair
                if pair in features or (value := sample.get(column)) is None:
                    continue
                features[pair] = self._tokens(column, name, value, item.train)
            if task.target_tokenizer is not None:
                sequences[task_name] = self._sequence(task, sample)
            present = [pair for pair in self._inputs[task_name] if pair in features]
            encoding = EncodedSample(
                sample,
                {pair[0]: features[pair] for pair in present},
                {column: self.tokenizers[name] for column, name in present},
                item.train,
            )
            sample_infos[task_name] = task.sample_info(encoding)
            if self.labelled:
                targets[task_name] = task.encode_token_target(encoding, sample_infos[task_name])
        if not sample_infos:
            raise UserError(self._why_untaken(sample))
        return _Encoded(item, features, sample_infos, targets, sequences)

    def _tokens(self, column: str, name: str, value: Any, train: bool) -> Features:
        try:
            made = self.tokenizers[name].encode(value, train)
            self._expected[name].check(made)
        except ValueError as error:
            raise UserError(f"{column}: {error}") from error
        return made

    def _sequence(self, task: Task, sample: Sample) -> Features:
        """The target's tokens, which nobody augments; none where there is only to predict."""
        column, name = task.tokenized[-1]
        if (value := sample.get(column)) is None:
            return self.tokenizers[name].empty()
        made = self._tokens(column, name, value, train=False)
        made = task.encode_sequence(made, self.tokenizers[name])
        self._expected[name].check(made)
        return made

    def _why_untaken(self, sample: Sample) -> str:
        inputs = list(dict.fromkeys(c for task in self.tasks.values() for c in task.inputs))
        there = [column for column, value in sample.items() if value is not None]
        if self.labelled and any(column in there for column in inputs):
            targets = dict.fromkeys(task.target for task in self.tasks.values())
            missing, wanted = "target", [target for target in targets if target is not None]
        else:
            missing, wanted = "input", inputs
        return f"no {missing} column {' or '.join(wanted)}; the sample has " + (
            ", ".join(there) or "no column"
        )

    def _views(self, encoded: Sequence[_Encoded]) -> dict[str, TaskBatch]:
        return {
            name: self._view(name, task, [e for e in encoded if name in e.sample_infos])
            for name, task in self.tasks.items()
        }

    def _view(self, name: str, task: Task, encoded: Sequence[_Encoded]) -> TaskBatch:
        features = {}
        modalities = [[] for _ in encoded]
        for pair in self._inputs[name]:
            column, tokenizer = pair
            none = self._expected[tokenizer].none
            lacking = replace(none, lengths=(0,))
            parts = []
            for brought, e in zip(modalities, encoded, strict=True):
                if (part := e.features.get(pair)) is not None:
                    brought.append(column)
                parts.append(lacking if part is None else part)
            features[column] = Features.pack(parts) if parts else none
        sequence = None
        if task.target_tokenizer is not None:
            none = self._expected[task.target_tokenizer].none
            sequence = Features.pack([e.sequences[name] for e in encoded]) if encoded else none
        return TaskBatch(
            features=features,
            target=task.collate([e.targets[name] for e in encoded]) if self.labelled else None,
            modalities=tuple(map("+".join, modalities)),
            names=tuple(e.item.name for e in encoded),
            sample_infos=tuple(e.sample_infos[name] for e in encoded),
            sequence=sequence,
        )

    def _faulty(self, task_batches: Mapping[str, TaskBatch]) -> bool:
        return any(
            self._expected[tokenizer].fault(task_batches[name].features[column])
            for name, inputs in self._inputs.items()
            for column, tokenizer in inputs
        ) or any(
            self._expected[self.tasks[name].target_tokenizer].fault(batch.sequence)
            for name, batch in task_batches.items()
            if batch.sequence is not None
        )

    def _fault(self, encoded: _Encoded) -> str:
        read = list(encoded.features.items())
        read += [(self.tasks[name].tokenized[-1], f) for name, f in encoded.sequences.items()]
        faults: Iterable[str] = (
            f"{column}: {fault}"
            for (column, tokenizer), features in read
            if (fault := self._expected[tokenizer].fault(features))
        )
        return next(iter(faults), "")
