"""Checks that tokenizers, tasks and sources do what the rest of unitf relies on.

They are for the tests of plugins, and for `unitf plugins check`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from unitf.batch import Sample
from unitf.data.source import Source
from unitf.errors import UserError
from unitf.model import TokenizerFactory
from unitf.tasks.task import Task
from unitf.testing.checks import CHECKS, Skip
from unitf.testing.source_checks import SOURCE_CHECKS, SourceSubject
from unitf.testing.subject import DIM, CheckError, Subject, seeded
from unitf.testing.task_checks import TASK_CHECKS
from unitf.testing.task_subject import TaskSubject
from unitf.testing.toy_tokenizers import ToyNumbers, ToyText
from unitf.tokenizer.tokenizer import Tokenizer

__all__ = [
    "CHECKS",
    "SOURCE_CHECKS",
    "TASK_CHECKS",
    "CheckError",
    "Outcome",
    "ToyNumbers",
    "ToyText",
    "check_source",
    "check_task",
    "check_tokenizer",
    "run_checks",
    "run_source_checks",
    "run_task_checks",
    "seeded",
]
AnySubject = TypeVar("AnySubject")


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check.

    Args:
        check: the name of the check.
        status: "passed", "skipped" or "failed".
        detail: why it was skipped or failed, or what was measured.
    """

    check: str
    status: str
    detail: str = ""


def check_tokenizer(
    tokenizer: Callable[..., Tokenizer], values: Sequence[object], **init_args: object
) -> None:
    """Checks that a tokenizer does what the rest of unitf relies on.

    Args:
        tokenizer: the class, or a function of `dim` and `init_args` that makes a tokenizer.
        values: a few raw values of different sizes.
        init_args: further arguments of the class.

    Raises:
        CheckError: a check failed; the message names it.
    """
    _raise_first(run_checks(tokenizer, values, **init_args))


def check_task(
    task: Callable[[], Task],
    samples: Sequence[Sample],
    tokenizers: Mapping[str, TokenizerFactory] | None = None,
    core: Mapping[str, object] | None = None,
) -> None:
    """Checks that a task does what the rest of unitf relies on.

    Args:
        task: makes the task when it is called without arguments.
        samples: a few (four or more) raw samples with their targets. At least one has all inputs.
        tokenizers: factories of tokenizers by the names that the task calls them. For a missing
            name a toy tokenizer is used: it makes a token of each character of a text, or of two
            numbers of an array.
        core: settings of `unitf.TransformerConfig` in addition to a small size, such as
            `{"kind": "encoder-decoder"}`.

    Raises:
        CheckError: a check failed; the message names it.
    """
    _raise_first(run_task_checks(task, samples, tokenizers, core))


def check_source(
    source: Callable[[], Source], root: str | Path = ".", columns: Sequence[str] = ()
) -> None:
    """Checks that a source does what the rest of unitf relies on.

    Args:
        source: makes the source when it is called without arguments.
        root: the folder to which its relative paths refer.
        columns: the columns that must occur in its samples.

    Raises:
        CheckError: a check failed; the message names it.
    """
    _raise_first(run_source_checks(source, root, columns))


def run_checks(
    tokenizer: Callable[..., Tokenizer], values: Sequence[object], **init_args: object
) -> Iterator[Outcome]:
    """Yields the outcome of every check of a tokenizer; see `check_tokenizer`."""

    def prepare() -> Subject:
        if not len(values):
            raise CheckError("found no values, expected a handful of raw ones")
        return Subject(lambda: tokenizer(DIM, **init_args), values)

    yield from _run("made, fitted, built", prepare, CHECKS)


def run_task_checks(
    task: Callable[[], Task],
    samples: Sequence[Sample],
    tokenizers: Mapping[str, TokenizerFactory] | None = None,
    core: Mapping[str, object] | None = None,
) -> Iterator[Outcome]:
    """Yields the outcome of every check of a task; see `check_task`."""

    def prepare() -> TaskSubject:
        if len(samples) < 2:
            raise CheckError(f"found {len(samples)} samples, expected a handful of raw ones")
        return TaskSubject(task, samples, tokenizers, core)

    yield from _run("made, fitted, built", prepare, TASK_CHECKS)


def run_source_checks(
    source: Callable[[], Source], root: str | Path = ".", columns: Sequence[str] = ()
) -> Iterator[Outcome]:
    """Yields the outcome of every check of a source; see `check_source`."""
    yield from _run("made", lambda: SourceSubject(source, Path(root), columns), SOURCE_CHECKS)


def _run(
    preparation: str,
    prepare: Callable[[], AnySubject],
    checks: Mapping[str, Callable[[AnySubject], str | None]],
) -> Iterator[Outcome]:
    try:
        with seeded(0):
            subject = prepare()
    except Exception as error:
        yield Outcome(preparation, "failed", _described(error))
        return
    yield Outcome(preparation, "passed")
    for name, check in checks.items():
        try:
            with seeded(0):
                detail = check(subject)
        except Skip as reason:
            yield Outcome(name, "skipped", str(reason))
        except Exception as error:
            yield Outcome(name, "failed", _described(error))
        else:
            yield Outcome(name, "passed", detail or "")


def _raise_first(outcomes: Iterator[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.status == "failed":
            raise CheckError(f"{outcome.check}: {outcome.detail}")


def _described(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, CheckError | UserError) else f"{type(error).__name__}: {text}"
