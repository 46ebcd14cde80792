"""Writes files so that they are complete at every moment, also after a crash or on a full disk."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unitf.errors import UserError

_FULL = (errno.ENOSPC, errno.EDQUOT)  # the disk, or what this user may have of it


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a file of the same folder to write to; it becomes `path` if nothing is raised.

    Raises:
        UserError: the disk is full; an earlier file at `path` is unchanged.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except Exception as error:
        if is_full(error):
            earlier = "; the file that stands there is the earlier one" if path.exists() else ""
            raise UserError(f"{path}: no space left on the disk{earlier}") from error
        raise
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # otherwise a power cut may undo the renaming
    finally:
        os.close(folder)


def is_full(error: BaseException | None) -> bool:
    """Returns whether an error, or one that led to it, says that the disk is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def write_text(path: Path, text: str) -> None:
    """Writes a text file. After an error the earlier file is unchanged."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def remove_parts(folder: Path) -> None:
    """Removes the unfinished files of writers that were killed."""
    for part in folder.glob(".*.part*"):
        part.unlink(missing_ok=True)
