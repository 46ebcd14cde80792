"""Plain paths: every computation that has a fast twin done the simple way, to compare both.

What chooses among implementations asks `is_reference_mode` in the one place where it chooses.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_plain: ContextVar[bool] = ContextVar("plain", default=False)


def is_reference_mode() -> bool:
    """Whether fast paths are off."""
    return _plain.get()


@contextmanager
def reference_mode(plain: bool = True) -> Iterator[None]:
    """While it lasts, this thread computes everything the plain way (or again the fast one)."""
    token = _plain.set(plain)
    try:
        yield
    finally:
        _plain.reset(token)
