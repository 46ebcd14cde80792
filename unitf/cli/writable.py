"""Whether what a verb makes can be written, before the verb takes its time."""

import tempfile
from pathlib import Path

from unitf.errors import UserError


def check_writable(option: str, path: Path) -> None:
    """Raises a UserError if no file can be written there."""
    if path.is_dir():
        raise UserError(f"{option} {path}: expected a file, found a folder")
    _try(option, path, path.absolute().parent)


def check_folder(option: str, path: Path) -> None:
    """Raises a UserError if no folder can be made there, or nothing be written in it."""
    if path.is_file():
        raise UserError(f"{option} {path}: expected a folder, found a file")
    _try(option, path, path.absolute())


def _try(option: str, path: Path, folder: Path) -> None:
    there = next(p for p in (folder, *folder.parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=there):  # what the file system allows, it alone knows
            pass
    except OSError as error:
        raise UserError(f"{option} {path}: nothing can be written in {there}") from error
