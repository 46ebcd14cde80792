"""Files that are whole at every instant: written beside their place, synced and renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write to, in the same folder, which becomes `path` if nothing is raised."""
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
        os.fsync(folder)  # else a power cut may forget the renaming
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    """A whole text file, or the one that was there before."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def remove_parts(folder: Path) -> None:
    """Removes what writers that were killed left behind."""
    for part in folder.glob(".*.part*"):
        part.unlink(missing_ok=True)
