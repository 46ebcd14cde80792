"""The checks of a class by the examples that it brings."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unitf.testing import Outcome, run_checks, run_source_checks, run_task_checks
from unitf.testing.examples import SOURCES, TASKS

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


def run_class_checks(kind: str, cls: Any) -> Iterator[Outcome]:
    """The outcomes of all checks of a class; none of a kind that has no checks.

    The class says by a static method `examples` what it is tried on. That of a tokenizer returns
    raw values. That of a task returns a dictionary: `init_args`, `samples` and, where they are
    needed, `tokenizers` and `core` (see `check_task`). That of a source is called with a folder,
    writes its files there and returns its `init_args`; a source without it is made without
    arguments.

    Args:
        kind: "tokenizers", "tasks" or "sources".
        cls: the class.
    """
    if kind not in _ADVICE:
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = _examples(kind, cls, Path(folder))
        except Exception as error:
            yield Outcome("has examples", "failed", f"{type(error).__name__}: {error}")
            return
        if found is None:
            method, function = _ADVICE[kind]
            advice = f"{cls.__name__} has no examples(): {method}, or call unitf.testing.{function}"
            yield Outcome("has examples", "failed", advice)
        elif kind == "tokenizers":
            yield from run_checks(cls, list(found))
        elif kind == "tasks":
            arguments = found["init_args"]
            parts = (found["samples"], found.get("tokenizers"), found.get("core"))
            yield from run_task_checks(lambda: cls(**arguments), *parts)
        else:
            yield from run_source_checks(lambda: cls(**found), folder)


def _examples(kind: str, cls: Any, folder: Path) -> Any:
    if hasattr(cls, "examples"):
        return cls.examples(folder) if kind == "sources" else cls.examples()
    own = cls.__module__.startswith("unitf.")
    if kind == "tasks":
        return TASKS.get(cls.__name__) if own else None
    if kind == "sources":
        if own and cls.__name__ in SOURCES:
            return SOURCES[cls.__name__](folder)
        try:
            cls()
        except TypeError:  # it needs arguments
            return None
        return {}
    return None
