"""Tokenizers and tasks before training: fitted on the data, restored from a checkpoint, built."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Protocol, TypeAlias, cast, runtime_checkable

import torch

from unitf.component import Component, ComponentState, NamedParts
from unitf.data.encoder import Item
from unitf.data.joined_columns import JoinedColumns
from unitf.errors import SampleError, UserError, did_you_mean
from unitf.features import RawValue
from unitf.tasks.task import Task
from unitf.tokenizer.tokenizer import Tokenizer

_Fitted: TypeAlias = Tokenizer | Task
_NamedValue: TypeAlias = tuple[str, RawValue]  # the name of a sample, and what `fit` gets of it


@runtime_checkable
class TrainingData(Protocol):
    """The training samples on which components are fitted."""

    @property
    def on_error(self) -> str:
        """Whether `fit` may leave out a sample that it refuses ("skip") or not ("raise")."""
        ...

    def training_items(self) -> Iterable[Item]:
        """Returns all training samples, in the same order each time."""
        ...


def check_inputs(tokenizers: NamedParts[Tokenizer], tasks: NamedParts[Task]) -> None:
    """Checks that every task has the tokenizers of its inputs.

    Raises:
        UserError: a tokenizer is missing, there is no task, or a constructor is not complete.
    """
    if not tasks:
        raise UserError("model.tasks: found none, expected at least one")
    for tokenizer in tokenizers.values():
        check_constructed(tokenizer)
    for name, task in tasks.items():
        check_constructed(task)
        for column, tokenizer in task.tokenized:
            if tokenizer not in tokenizers:
                raise UserError(
                    f"model.tasks.{name}: column {column!r} needs a tokenizer, expected "
                    f"model.tokenizers.{tokenizer}{did_you_mean(tokenizer, tokenizers)}"
                )


def check_constructed(component: _Fitted) -> None:
    """Checks that the constructor of a subclass called that of its base class.

    Raises:
        UserError: it did not.
    """
    if "fitted" not in vars(component):
        arguments = "inputs, target, weight" if isinstance(component, Task) else "dim"
        cls = type(component).__name__
        raise UserError(f"{cls}.__init__ does not call super().__init__({arguments})")


def fit_components(
    tokenizers: NamedParts[Tokenizer], tasks: NamedParts[Task], data: TrainingData
) -> None:
    """Fits the tokenizers and tasks that are not fitted yet, on the training samples.

    If `data.on_error` is "skip", samples that `fit` refuses are left out. They are reported later,
    when they are encoded.

    Raises:
        SampleError: `fit` refuses a sample, which is not to be skipped.
    """
    skip = data.on_error == "skip"
    for name, tokenizer in tokenizers.items():
        if type(tokenizer).fit is not Tokenizer.fit and not tokenizer.is_fitted:
            columns = dict.fromkeys(
                column for task in tasks.values() for column, used in task.tokenized if used == name
            )
            join = JoinedColumns(tokenizers, tasks)
            read = f"column {', '.join(columns)}" if columns else "which no task reads"
            where = f"model.tokenizers.{name} ({read})"
            _fit(tokenizer, partial(_values, data, {name: tokenizer}, columns, join), skip, where)
    join = JoinedColumns(tokenizers, tasks)
    for name, task in tasks.items():
        if type(task).fit is not Task.fit and not task.is_fitted:
            _fit(task, partial(_accepted, data, task, join), skip, f"model.tasks.{name}")


def _values(
    data: TrainingData,
    tokenizer: Mapping[str, Tokenizer],
    columns: Iterable[str],
    join: JoinedColumns,
) -> Iterator[_NamedValue]:
    (name,) = tokenizer
    pairs = [(column, name) for column in columns]
    for item in data.training_items():
        sample = join(item.with_files(tokenizer, pairs))
        for column in columns:
            if (value := sample.get(column)) is not None:
                yield item.label, value


def _accepted(data: TrainingData, task: Task, join: JoinedColumns) -> Iterator[_NamedValue]:
    samples = ((item.label, join(item.sample)) for item in data.training_items())
    return ((name, sample) for name, sample in samples if task.accepts(sample))


class _TrackedValues:
    """An iterable of values that remembers the first one and the last one that it yielded."""

    def __init__(self, named: Iterable[_NamedValue]) -> None:
        self.named = named
        self.first: RawValue = None
        self.last: _NamedValue | None = None  # None: before the first, and after all values

    def __iter__(self) -> Iterator[RawValue]:
        for name, value in self.named:
            if self.last is None:
                self.first = value
            self.last = name, value
            yield value
        self.last = None


def _fit(
    component: _Fitted, read: Callable[[], Iterable[_NamedValue]], skip: bool, where: str
) -> None:
    before = component.fitted
    values = _TrackedValues(read())
    try:
        component.fit(iter(values))
    except SampleError:
        raise
    except ValueError as error:
        component.fitted = before
        if values.last is None:  # the error is about all values together
            raise UserError(f"{where}: {error}") from error
        name, value = values.last
        if skip:
            component.fit(_sound(copy.deepcopy(component), read()))
        elif _stops(component, [values.first, value]):
            raise SampleError(f"{name}: {error}") from error
        else:
            raise


def _sound(component: _Fitted, named: Iterable[_NamedValue]) -> Iterator[RawValue]:
    """Yields the values that `fit` accepts, alone or after the first of them."""
    first: list[RawValue] = []
    for _, value in named:
        if not _stops(component, [*first, value]):
            first = first or [value]
            yield value


def _stops(component: _Fitted, values: list[RawValue]) -> bool:
    """Whether `fit` stops at one of the values; an error about all of them does not count."""
    tracked = _TrackedValues(("", value) for value in values)
    try:
        copy.deepcopy(component).fit(iter(tracked))
    except ValueError:
        return tracked.last is not None
    return False


def build_components(
    tokenizers: NamedParts[Tokenizer], tasks: NamedParts[Task], dim: int, seed: int
) -> None:
    """Makes the parameters of tokenizers and tasks.

    Args:
        tokenizers: the fitted tokenizers.
        tasks: the fitted tasks.
        dim: D, the width of a token.
        seed: the seed of the initial parameters.
    """
    unembedded = frozenset().union(*(task.unembeds for task in tasks.values()))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, tokenizer in tokenizers.items():
            tokenizer.build(unembed=name in unembedded)
        for task in tasks.values():
            task.build(dim=dim, **task.requirements(dict(tokenizers.items())))


def restore_components(
    tokenizers: NamedParts[Tokenizer], tasks: NamedParts[Task], state: Mapping[str, object]
) -> None:
    """Restores what tokenizers and tasks learned, and makes their parameters.

    Args:
        tokenizers: the tokenizers of the model.
        tasks: the tasks of the model.
        state: the `state_dict` of a checkpoint.

    Raises:
        UserError: the checkpoint lacks a tokenizer or a task.
    """
    parts: dict[str, NamedParts[Component]] = {"tokenizers": tokenizers, "tasks": tasks}
    for kind, modules in parts.items():
        for name, module in modules.items():
            key = f"{kind}.{name}._extra_state"
            if key not in state:
                raise UserError(f"the checkpoint has no {kind[:-1]} {name!r}")
            module.set_extra_state(cast(ComponentState, state[key]))
