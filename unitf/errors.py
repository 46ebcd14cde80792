"""The errors that a user can mend; everything else that is raised is a mistake of ours."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """One line that names the location, what was found there and what was expected."""


class SampleError(UserError):
    """A sample that could not be read or encoded; the message names it."""


def close_names(name: str, known: Iterable[str]) -> list[str]:
    """Returns up to three known names that a misspelt one may mean, best first; case is ignored."""
    names = {other.lower(): other for other in known}
    return [names[near] for near in difflib.get_close_matches(name.lower(), names, cutoff=0.5)]


def did_you_mean(name: str, known: Iterable[object], label: str = "there are") -> str:
    """Returns the end of a message: the names that `name` may mean, or some of the known ones."""
    names = list(dict.fromkeys(str(item) for item in known))
    if close := difflib.get_close_matches(name, names, n=3, cutoff=0.6):
        return f"; did you mean {' or '.join(close)}?"
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return f"; {label} {shown or 'none'}"
