"""Checks that the results of a verb can be written, before the verb does its work."""

import os
import tempfile
from pathlib import Path

from unitf.errors import UserError


def check_writable(option: str, path: Path) -> None:
    """Raises a UserError if no file can be written at this path."""
    if os.path.isdir(path):  # noqa: PTH112 (Path raises where a name is too long)
        raise UserError(f"{option} {path}: expected a file, found a folder")
    _try(option, path, path.absolute().parent)


def check_folder(option: str, path: Path) -> None:
    """Raises a UserError if this folder cannot be made, or no file can be written in it."""
    if os.path.isfile(path):  # noqa: PTH113
        raise UserError(f"{option} {path}: expected a folder, found a file")
    _try(option, path, path.absolute())


def _try(option: str, path: Path, folder: Path) -> None:
    try:
        existing = next(p for p in (folder, *folder.parents) if p.exists())
        with tempfile.TemporaryFile(dir=existing):  # only a try shows what the system allows
            pass
    except OSError as error:
        raise UserError(f"{option} {path}: nothing can be written there: {error}") from error
