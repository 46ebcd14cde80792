"""Writes files so that they are complete at every moment, also after a crash."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a file of the same folder to write to; it becomes `path` if nothing is raised."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # otherwise a power cut may undo the renaming
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Writes a text file. After an error the earlier file is unchanged."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def remove_parts(folder: Path) -> None:
    """Removes the unfinished files of writers that were killed."""
    for part in folder.glob(".*.part*"):
        part.unlink(missing_ok=True)
