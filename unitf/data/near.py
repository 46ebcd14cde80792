"""What to say about a name that is not known."""

from collections.abc import Iterable
from difflib import get_close_matches


def near(name: str, known: Iterable[object], label: str = "there are") -> str:
    """The end of a message: the nearest names, or some of those that there are."""
    names = list(dict.fromkeys(str(item) for item in known))
    if close := get_close_matches(name, names, n=3, cutoff=0.6):
        return f"; did you mean {' or '.join(close)}?"
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return f"; {label} {shown or 'none'}"
