"""The file that makes a folder an ensemble: it names the folders of the members."""

import json
from collections.abc import Sequence
from pathlib import Path

from unitf.checkpoints.atomic import write_text
from unitf.errors import UserError

ENSEMBLE: str = "ensemble.json"
_VERSION = 1


def is_ensemble(path: str | Path) -> bool:
    """Returns whether a path is the folder of an ensemble."""
    return (Path(path).expanduser() / ENSEMBLE).is_file()


def write_members(folder: Path, members: Sequence[str]) -> None:
    """Makes a folder an ensemble.

    Args:
        folder: the folder.
        members: the names of the members' folders within it.
    """
    text = json.dumps({"version": _VERSION, "members": list(members)}, indent=1)
    write_text(folder / ENSEMBLE, text + "\n")


def members_of(folder: str | Path) -> list[Path]:
    """Returns the folders of the members of an ensemble.

    Raises:
        UserError: the file is damaged, or of a later version.
    """
    file = Path(folder).expanduser() / ENSEMBLE
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        version, names = settings["version"], settings["members"]
        inside = [isinstance(name, str) and Path(name).name == name for name in names]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{file}: damaged, expected the names of members ({error})") from error
    if version != _VERSION:
        raise UserError(f"{file}: found version {version}, expected {_VERSION}")
    if not names or not all(inside):
        raise UserError(f"{file}: members: expected names of folders beside it, found {names}")
    return [file.parent / name for name in names]
