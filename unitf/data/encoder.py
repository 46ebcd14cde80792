"""Encoder: turns samples into a Batch; it runs in data workers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias, cast

from torch import nn

from unitf.batch import Batch, EncodedSample, Sample, TaskBatch
from unitf.data.expected import Expected
from unitf.data.joined_columns import JoinedColumns
from unitf.data.modality_dropout import ModalityDropout
from unitf.data.seeding import kept_random_state, mix, seed_host
from unitf.errors import RecipeError, SampleError, TargetError, UserError, did_you_mean
from unitf.features import Features
from unitf.tasks.task import Task
from unitf.tokenizer.located_targets import LocatedTarget
from unitf.tokenizer.tokenizer import Tokenizer

OnError: TypeAlias = Literal["raise", "skip"]


FileFinder: TypeAlias = Callable[[str], str | bytes | None]
"""Finds a file by the name that a sample gives: its path or its bytes; None: there is none."""
Pairs: TypeAlias = Iterable[tuple[str, str]]


class Item(NamedTuple):
    """A sample on its way into a batch."""

    sample: Sample
    name: str  # which sample it is, among all of a run: "drawn/train[17]"
    index: int = 0  # (epoch, index) is unique among the samples that a run draws
    epoch: int = 0
    train: bool = False  # whether to augment
    error: str = ""  # why it could not be read, or empty
    beside: FileFinder | None = None  # finds the files that the sample names
    called: str = ""  # what a person calls it, if known: "drawn.csv, row 19"

    @property
    def label(self) -> str:
        """What messages call the sample: where it stands in its file, if that is known."""
        return self.called or self.name

    def with_files(self, tokenizers: Mapping[str, Tokenizer], pairs: Pairs) -> Sample:
        """Returns the sample; what it names in columns of files are the paths of files.

        Args:
            tokenizers: the tokenizers by name; a tokenizer of numbers F×N reads files.
            pairs: columns, each with the name of its tokenizer.
        """
        if self.beside is None:
            return self.sample
        found = {
            column: value
            for column, name in pairs
            if tokenizers[name].num_features is not None
            and (value := _found(self.sample.get(column), self.beside)) is not None
        }
        return {**self.sample, **found} if found else self.sample


def _found(value: object, beside: FileFinder) -> object | None:
    """Returns the file, or the list of files, that a value names; None: it names none."""
    if isinstance(value, str):
        return beside(value)
    if isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value):
        return [beside(name) or name for name in value]
    return None


@dataclass(frozen=True)
class Failure:
    """An error of a worker as one line, instead of the worker's traceback."""

    message: str


class _Encoded(NamedTuple):
    """An encoded sample. The last three fields have an entry for each task that accepts it."""

    item: Item
    features: dict[tuple[str, str], Features]  # by (column, tokenizer)
    sample_infos: dict[str, object]
    targets: dict[str, object]  # empty if the encoder is not labelled
    sequences: dict[str, Features]  # the targets that are sequences of tokens


def _target(
    task: Task, encoding: EncodedSample, sample_info: object, is_test: bool = False
) -> object:
    """Returns the target of a sample; in a test that of a sample out of scope, if it has one.

    Raises:
        TargetError: the task cannot use it.
    """
    try:
        return task.encode_token_target(encoding, sample_info)
    except ValueError as error:
        if is_test and (target := task.out_of_scope_target(encoding.sample)) is not None:
            return target
        raise TargetError(str(error)) from error


def check_followed(task: Task, encoding: EncodedSample) -> None:
    """Checks that the target of a task follows the augmentation of its inputs.

    Raises:
        RecipeError: it cannot, or two inputs would move it differently.
    """
    moving = [column for column, used in encoding.inputs.items() if used.moves]
    if moving and encoding.located is None:
        raise RecipeError(
            f"{moving[0]}: its augmentation moves what {type(task).__name__} has labels of, which "
            "cannot follow; expected one that changes no place"
        )
    if len(moving) > 1:
        raise RecipeError(
            f"{', '.join(moving)}: each is moved by its own augmentation, so that "
            f"{type(task).__name__} cannot follow both; expected one of them to move"
        )


class Encoder:
    """Turns a list of Items into a Batch. Loaders use it as `collate_fn`.

    Args:
        tokenizers: fitted tokenizers by name.
        tasks: fitted tasks by name.
        labelled: whether a sample must have a target (False to predict).
        on_error: for a sample that cannot be read, "raise" a SampleError, or "skip" the sample: the
            batch then has the message instead.
        seed: seeds the augmentation of a training sample, together with its epoch and index.
        skip_targets: whether a sample is skipped whose target cannot be used, whatever `on_error`
            says: a test measures the others.
        modality_dropout: for each input, the probability that a training sample is read without it.
    """

    def __init__(
        self,
        tokenizers: Mapping[str, Tokenizer] | nn.ModuleDict,
        tasks: Mapping[str, Task] | nn.ModuleDict,
        labelled: bool = True,
        on_error: OnError = "raise",
        seed: int = 0,
        skip_targets: bool = False,
        modality_dropout: Mapping[str, float] | None = None,
    ) -> None:
        self.skip_targets: bool = skip_targets
        self.tokenizers: dict[str, Tokenizer] = cast(dict[str, Tokenizer], dict(tokenizers.items()))
        self.tasks: dict[str, Task] = cast(dict[str, Task], dict(tasks.items()))
        self.labelled: bool = labelled
        self.on_error: OnError = on_error
        self.seed: int = seed
        for name, task in self.tasks.items():
            for column, tokenizer in task.tokenized:
                if tokenizer not in self.tokenizers:
                    raise UserError(
                        f"task {name}: column {column} names the tokenizer {tokenizer!r}"
                        + did_you_mean(tokenizer, self.tokenizers, "there are")
                    )
        self._inputs = {name: list(task.inputs.items()) for name, task in self.tasks.items()}
        self._pairs = list(dict.fromkeys(p for t in self.tasks.values() for p in t.tokenized))
        self._expected = {name: Expected.of(t) for name, t in self.tokenizers.items()}
        self._join = JoinedColumns(self.tokenizers, self.tasks)
        self._dropout: ModalityDropout | None = None
        if modality_dropout is not None:
            self._dropout = ModalityDropout(modality_dropout, self.tasks, seed)

    def __call__(self, items: Sequence[Item]) -> Batch:
        """Encodes and packs the items.

        Raises:
            SampleError: an item cannot be read or encoded, and `on_error` is "raise".
        """
        encoded: list[_Encoded] = []
        skipped: list[str] = []
        with kept_random_state() if any(item.train for item in items) else nullcontext():
            for item in items:
                try:
                    encoded.append(self._encode(item))
                except ValueError as error:
                    skipped.append(self._fail(item, error))
        task_batches = self._task_batches(encoded)
        if self._faulty(task_batches):
            sound = []
            for sample in encoded:
                if fault := self._fault(sample):
                    skipped.append(self._fail(sample.item, UserError(fault)))
                else:
                    sound.append(sample)
            task_batches = self._task_batches(sound)
        return Batch(task_batches, tuple(skipped))

    def item(self, index: int, sample: Sample) -> Item:
        """Returns an Item for a raw sample that comes from no source."""
        return Item(sample, f"sample {index}", index)

    def num_tokens(self, item: Item) -> int:
        """Returns how many tokens the item adds to a batch: for all tasks, with prefixes."""
        encoded = self._encode(item)
        tokens = [
            (pair[1], encoded.features[pair])
            for task in encoded.sample_infos
            for pair in self._inputs[task]
            if pair in encoded.features
        ]
        tokens += [(self.tasks[n].tokenized[-1][1], f) for n, f in encoded.sequences.items()]
        return sum(sum(self.tokenizers[name].num_columns(features)) for name, features in tokens)

    def _fail(self, item: Item, error: ValueError) -> str:
        message = f"{item.label}: {error}"
        skips = self.skip_targets and isinstance(error, TargetError)
        if isinstance(error, RecipeError) or (self.on_error == "raise" and not skips):
            raise SampleError(message) from error
        return message

    def _encode(self, item: Item) -> _Encoded:
        if item.error:
            raise UserError(item.error)
        if item.train:
            seed_host(mix(self.seed, item.epoch, item.index))
        sample = self._join(item.with_files(self.tokenizers, self._pairs))
        if item.train and self._dropout is not None:
            sample = self._dropout(sample, item.epoch, item.index)
        sample_infos: dict[str, object] = {}
        targets: dict[str, object] = {}
        sequences: dict[str, Features] = {}
        accepting = {n: t for n, t in self.tasks.items() if t.accepts(sample, self.labelled)}
        located = self._located(accepting, sample) if self.labelled else {}
        features, moved = self._inputs_of(accepting, sample, located, item.train)
        for task_name, task in accepting.items():
            if task.target_tokenizer is not None:
                sequences[task_name] = self._sequence(task, sample)
            present = [pair for pair in self._inputs[task_name] if pair in features]
            encoding = EncodedSample(
                sample,
                {pair[0]: features[pair] for pair in present},
                {column: self.tokenizers[name] for column, name in present},
                item.train,
                moved.get(task_name),
            )
            if item.train and task.in_place:
                check_followed(task, encoding)
            sample_infos[task_name] = task.sample_info(encoding)
            if self.labelled:
                info = sample_infos[task_name]
                targets[task_name] = _target(task, encoding, info, self.skip_targets)
        if not sample_infos:
            raise UserError(self._why_unaccepted(sample))
        return _Encoded(item, features, sample_infos, targets, sequences)

    def _located(self, tasks: Mapping[str, Task], sample: Sample) -> dict[str, LocatedTarget]:
        """Returns by task the targets that locate something in the inputs."""
        found: dict[str, LocatedTarget] = {}
        for name, task in tasks.items():
            try:
                target = task.located(sample)
            except ValueError as error:
                raise TargetError(str(error)) from error
            if target is not None:
                found[name] = target
        return found

    def _inputs_of(
        self,
        tasks: Mapping[str, Task],
        sample: Sample,
        located: Mapping[str, LocatedTarget],
        train: bool,
    ) -> tuple[dict[tuple[str, str], Features], dict[str, LocatedTarget]]:
        """Encodes each input once, and moves with it what all tasks locate there."""
        features: dict[tuple[str, str], Features] = {}
        moved = dict(located)
        for task_name in tasks:
            for pair in self._inputs[task_name]:
                column, name = pair
                if pair in features or (value := sample.get(column)) is None:
                    continue
                readers = [n for n in located if pair in self._inputs[n]]
                given = [moved[n] for n in readers]
                features[pair], results = self._tokens(column, name, value, train, given)
                moved.update(zip(readers, results, strict=True))
        return features, moved

    def _tokens(
        self,
        column: str,
        name: str,
        value: object,
        train: bool,
        located: Sequence[LocatedTarget] = (),
    ) -> tuple[Features, list[LocatedTarget]]:
        """Returns the tokens of a value, and what is located in it as it is encoded."""
        tokenizer, moved = self.tokenizers[name], []
        try:
            if located:
                features, moved = tokenizer.encode_located(value, located, train)
            else:
                features = tokenizer.encode(value, train)
            self._expected[name].check(features)
        except RecipeError as error:
            raise RecipeError(f"{column}: {error}") from error
        except ValueError as error:
            raise UserError(f"{column}: {error}") from error
        return features, moved

    def _sequence(self, task: Task, sample: Sample) -> Features:
        """Returns the tokens of the target, never augmented; none if the sample has no target."""
        column, name = task.tokenized[-1]
        if (value := sample.get(column)) is None:
            return self.tokenizers[name].empty()
        features, _ = self._tokens(column, name, value, train=False)
        features = task.encode_sequence(features, self.tokenizers[name])
        self._expected[name].check(features)
        return features

    def _why_unaccepted(self, sample: Sample) -> str:
        named = dict.fromkeys(c for task in self.tasks.values() for c in task.inputs)
        inputs = [column for name in named for column in self._join.columns(name)]
        present = [column for column, value in sample.items() if value is not None]
        if self.labelled and any(column in present for column in inputs):
            targets = dict.fromkeys(task.target for task in self.tasks.values())
            missing, wanted = "target", [target for target in targets if target is not None]
            if empty := [target for target in wanted if target in sample]:
                return f"{empty[0]} is empty; `data.on_error: skip` leaves such samples out"
        else:
            missing, wanted = "input", inputs
        return f"no {missing} column {' or '.join(wanted)}; the sample has " + (
            ", ".join(present) or "no column"
        )

    def _task_batches(self, encoded: Sequence[_Encoded]) -> dict[str, TaskBatch]:
        return {
            name: self._task_batch(name, task, [e for e in encoded if name in e.sample_infos])
            for name, task in self.tasks.items()
        }

    def _task_batch(self, name: str, task: Task, encoded: Sequence[_Encoded]) -> TaskBatch:
        features: dict[str, Features] = {}
        modalities: list[list[str]] = [[] for _ in encoded]
        for pair in self._inputs[name]:
            column, tokenizer = pair
            none = self._expected[tokenizer].none
            missing = replace(none, lengths=(0,))
            parts = []
            for present, e in zip(modalities, encoded, strict=True):
                if (part := e.features.get(pair)) is not None:
                    present.append(column)
                parts.append(missing if part is None else part)
            features[column] = Features.pack(parts) if parts else none
        sequence = None
        if task.target_tokenizer is not None:
            none = self._expected[task.target_tokenizer].none
            sequence = Features.pack([e.sequences[name] for e in encoded]) if encoded else none
        batch = TaskBatch(
            features=features,
            target=task.collate([e.targets[name] for e in encoded]) if self.labelled else None,
            modalities=tuple(map("+".join, modalities)),
            names=tuple(e.item.name for e in encoded),
            sample_infos=tuple(e.sample_infos[name] for e in encoded),
            sequence=sequence,
        )
        return (
            replace(batch, counts=task.counts(batch, self.tokenizers)) if self.labelled else batch
        )

    def _faulty(self, task_batches: Mapping[str, TaskBatch]) -> bool:
        return any(
            self._expected[tokenizer].fault(task_batches[name].features[column])
            for name, inputs in self._inputs.items()
            for column, tokenizer in inputs
        ) or any(
            self._expected[self.tasks[name].tokenized[-1][1]].fault(batch.sequence)
            for name, batch in task_batches.items()
            if batch.sequence is not None
        )

    def _fault(self, encoded: _Encoded) -> str:
        tokens = list(encoded.features.items())
        tokens += [(self.tasks[name].tokenized[-1], f) for name, f in encoded.sequences.items()]
        faults: Iterable[str] = (
            f"{column}: {fault}"
            for (column, tokenizer), features in tokens
            if (fault := self._expected[tokenizer].fault(features))
        )
        return next(iter(faults), "")
