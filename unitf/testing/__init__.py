"""What a tokenizer must keep to, as checks: for a plugin's own tests and `unitf plugins check`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from unitf.errors import UserError
from unitf.testing.checks import CHECKS, Skip
from unitf.testing.subject import DIM, CheckError, Subject, seeded
from unitf.tokenizer.tokenizer import Tokenizer

__all__ = ["CHECKS", "CheckError", "Outcome", "check_tokenizer", "run_checks", "seeded"]


@dataclass(frozen=True)
class Outcome:
    """How one check went: passed, skipped or failed, and why."""

    check: str
    status: str
    detail: str = ""


def check_tokenizer(
    tokenizer: Callable[..., Tokenizer], values: Sequence[Any], **init_args: Any
) -> None:
    """Checks that a tokenizer keeps to what the rest of unitf relies on.

    Args:
        tokenizer: the class, or what makes one when it is called with `dim` and `init_args`.
        values: a handful of raw values of varied size.

    Raises:
        CheckError: it does not; the message names the check.
    """
    for outcome in run_checks(tokenizer, values, **init_args):
        if outcome.status == "failed":
            raise CheckError(f"{outcome.check}: {outcome.detail}")


def run_checks(
    tokenizer: Callable[..., Tokenizer], values: Sequence[Any], **init_args: Any
) -> Iterator[Outcome]:
    """The outcome of every check, one after the other."""
    try:
        if not len(values):
            raise CheckError("found no values, expected a handful of raw ones")
        subject = Subject(lambda: tokenizer(DIM, **init_args), values)
    except Exception as error:
        yield Outcome("made, fitted, built", "failed", _said(error))
        return
    yield Outcome("made, fitted, built", "passed")
    for name, check in CHECKS.items():
        try:
            detail = check(subject)
        except Skip as reason:
            yield Outcome(name, "skipped", str(reason))
        except Exception as error:
            yield Outcome(name, "failed", _said(error))
        else:
            yield Outcome(name, "passed", detail or "")


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, CheckError | UserError) else f"{type(error).__name__}: {text}"
