"""Checks a registered class with the examples that it brings."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast

from unitf.batch import Sample
from unitf.data.source import Source
from unitf.model import TokenizerFactory
from unitf.tasks.task import Task
from unitf.testing import Outcome, run_checks, run_source_checks, run_task_checks
from unitf.testing.examples import SOURCES, TASKS
from unitf.tokenizer.tokenizer import Tokenizer

_Arguments: TypeAlias = Mapping[str, object]  # by name

_ADVICE = {
    "tokenizers": (
        "give it a static method that returns a handful of raw values",
        "check_tokenizer with values of your own",
    ),
    "tasks": (
        "give it a static method that returns a dictionary of init_args and samples",
        "check_task with samples of your own",
    ),
    "sources": (
        "give it a static method that writes files into a folder and returns the init_args",
        "check_source with files of your own",
    ),
}


def run_class_checks(kind: str, cls: type) -> Iterator[Outcome]:
    """Yields the outcomes of all checks of a class; a kind without checks has no outcomes.

    A static method `examples` of the class gives the data of the checks:

    - of a tokenizer, it returns raw values;
    - of a task, it returns a dictionary with `init_args`, `samples` and, if needed, `tokenizers`
      and `core` (see `check_task`);
    - of a source, it is called with a folder, writes files there and returns the `init_args`. A
      source without this method is made without arguments.

    Args:
        kind: "tokenizers", "tasks" or "sources".
        cls: the class that is checked.
    """
    if kind not in _ADVICE:
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            examples = _examples(kind, cls, Path(folder))
        except Exception as error:
            yield Outcome("has examples", "failed", f"{type(error).__name__}: {error}")
            return
        if examples is None:
            method, function = _ADVICE[kind]
            advice = f"{cls.__name__} has no examples(): {method}, or call unitf.testing.{function}"
            yield Outcome("has examples", "failed", advice)
        elif kind == "tokenizers":
            make_tokenizer = cast(Callable[..., Tokenizer], cls)
            yield from run_checks(make_tokenizer, list(cast(Sequence[object], examples)))
        elif kind == "tasks":
            yield from _run_task(cast(Callable[..., Task], cls), cast(_Arguments, examples))
        else:
            make_source = cast(Callable[..., Source], cls)
            arguments = cast(_Arguments, examples)
            yield from run_source_checks(lambda: make_source(**arguments), folder)


def _run_task(make: Callable[..., Task], examples: _Arguments) -> Iterator[Outcome]:
    arguments = cast(_Arguments, examples["init_args"])
    yield from run_task_checks(
        lambda: make(**arguments),
        cast(Sequence[Sample], examples["samples"]),
        cast(Mapping[str, TokenizerFactory] | None, examples.get("tokenizers")),
        cast(_Arguments | None, examples.get("core")),
    )


def _examples(kind: str, cls: type, folder: Path) -> object:
    examples: Callable[..., object] | None = getattr(cls, "examples", None)
    if examples is not None:
        return examples(folder) if kind == "sources" else examples()
    is_builtin = cls.__module__.startswith("unitf.")
    if kind == "tasks":
        return TASKS.get(cls.__name__) if is_builtin else None
    if kind == "sources":
        if is_builtin and cls.__name__ in SOURCES:
            return SOURCES[cls.__name__](folder)
        try:
            cls()
        except TypeError:  # it needs arguments
            return None
        return {}
    return None
