"""Tokenizers and tasks before training: fitted on the data, restored, built."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

import torch

from unitf.errors import SampleError, UserError
from unitf.tasks.task import Task
from unitf.tokenizer.tokenizer import Tokenizer

Tokenizers: TypeAlias = Any  # a mapping of names to Tokenizers: a dictionary, a ModuleDict
Tasks: TypeAlias = Any  # the same of Tasks
_Named: TypeAlias = tuple[str, Any]  # the name of a sample, and what is to be learned from


def check_inputs(tokenizers: Tokenizers, tasks: Tasks) -> None:
    """Every task has the tokenizers of its inputs.

    Raises:
        UserError: it does not, or there is no task.
    """
    if not tasks:
        raise UserError("model.tasks: found none, expected at least one")
    for name, task in tasks.items():
        for column, tokenizer in task.tokenized:
            if tokenizer not in tokenizers:
                raise UserError(
                    f"model.tasks.{name}: column {column!r} needs a tokenizer {tokenizer!r}, "
                    f"found {', '.join(tokenizers) or 'none'}"
                )


def fit_components(tokenizers: Tokenizers, tasks: Tasks, data: Any) -> None:
    """Fits those that know nothing yet, on `data.training_items()`.

    With `data.on_error` "skip" it leaves out samples that cannot be learned from: encoding, which
    comes to each of them, reports them.

    Raises:
        SampleError: there is one, and it is not to be skipped.
    """
    skip = data.on_error == "skip"
    for name, tokenizer in tokenizers.items():
        if type(tokenizer).fit is not Tokenizer.fit and not tokenizer.is_fitted:
            columns = dict.fromkeys(
                column for task in tasks.values() for column, used in task.tokenized if used == name
            )
            _fit(tokenizer, partial(_values, data, columns), skip)
    for task in tasks.values():
        if type(task).fit is not Task.fit and not task.is_fitted:
            _fit(task, partial(_taken, data, task), skip)


def _values(data: Any, columns: Iterable[str]) -> Iterator[_Named]:
    for item in data.training_items():
        for column in columns:
            if (value := item.sample.get(column)) is not None:
                yield item.name, value


def _taken(data: Any, task: Task) -> Iterator[_Named]:
    return ((item.name, item.sample) for item in data.training_items() if task.accepts(item.sample))


class _CountedValues:
    """Values, handed out one after the other; it knows which one was the last."""

    def __init__(self, named: Iterable[_Named]) -> None:
        self.named = named
        self.first: Any = None
        self.last: _Named | None = None  # None: before the first, and when there are no more

    def __iter__(self) -> Iterator[Any]:
        for name, value in self.named:
            if self.last is None:
                self.first = value
            self.last = name, value
            yield value
        self.last = None


def _fit(component: Any, read: Callable[[], Iterable[_Named]], skip: bool) -> None:
    before = component.fitted
    handed = _CountedValues(read())
    try:
        component.fit(iter(handed))
    except SampleError:
        raise
    except ValueError as error:
        component.fitted = before
        if handed.last is None:  # all of them together are at fault
            raise
        name, value = handed.last
        if skip:
            component.fit(_sound(copy.deepcopy(component), read()))
        elif _stops(component, [handed.first, value]):
            raise SampleError(f"{name}: {error}") from error
        else:
            raise


def _sound(component: Any, named: Iterable[_Named]) -> Iterator[Any]:
    """The values at which `fit` does not stop, alone or after the first of them."""
    first: list[Any] = []
    for _, value in named:
        if not _stops(component, [*first, value]):
            first = first or [value]
            yield value


def _stops(component: Any, values: list[Any]) -> bool:
    """Whether `fit` stops at one of the values; what it says of all together does not count."""
    handed = _CountedValues(("", value) for value in values)
    try:
        copy.deepcopy(component).fit(iter(handed))
    except ValueError:
        return handed.last is not None
    return False


def build_components(tokenizers: Tokenizers, tasks: Tasks, dim: int, seed: int) -> None:
    """Makes their parameters, the same ones for the same seed."""
    wanted = frozenset().union(*(task.unembeds for task in tasks.values()))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, tokenizer in tokenizers.items():
            tokenizer.build(unembed=name in wanted)
        for task in tasks.values():
            task.build(dim=dim, **task.requirements(dict(tokenizers.items())))


def restore_components(tokenizers: Tokenizers, tasks: Tasks, state: Mapping[str, Any]) -> None:
    """Takes over how they were fitted and built from a checkpoint's `state_dict`."""
    for kind, modules in (("tokenizers", tokenizers), ("tasks", tasks)):
        for name, module in modules.items():
            key = f"{kind}.{name}._extra_state"
            if key not in state:
                raise UserError(f"the checkpoint has no {kind[:-1]} {name!r}")
            module.set_extra_state(state[key])
