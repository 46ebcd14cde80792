"""Errors that a user can fix. Any other exception is a bug in unitf or in a plugin."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake of the user. The message is one line: where, what was found, what was expected."""


class SampleError(UserError):
    """A sample could not be read or encoded; the message names the sample."""


class RecipeError(UserError):
    """Settings that do not go together, which no sample can be blamed for: it is never skipped."""


class TargetError(UserError):
    """A target cannot be used, such as a class that no training sample has."""


def one_line(error: BaseException) -> str:
    """Returns the message of an error as one line; that of no UserError begins with its class."""
    reason = " ".join(str(error).split())
    return reason if isinstance(error, UserError) else f"{type(error).__name__}: {reason}"


def close_names(name: str, known: Iterable[str]) -> list[str]:
    """Returns up to three known names that resemble `name`, best first; case is ignored."""
    names = {other.lower(): other for other in known}
    return [names[match] for match in difflib.get_close_matches(name.lower(), names, cutoff=0.5)]


def suggestion(names: Iterable[str]) -> str:
    """Returns the question whether the user meant one of these names."""
    return f"did you mean {' or '.join(names)}?"


def did_you_mean(name: str, known: Iterable[object], label: str = "there are") -> str:
    """Returns the end of an error message: names that resemble `name`, or some known names."""
    names = list(dict.fromkeys(str(item) for item in known))
    if close := difflib.get_close_matches(name, names, n=3, cutoff=0.6):
        return f"; {suggestion(close)}"
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return f"; {label} {shown or 'none'}"
