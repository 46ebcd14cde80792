"""Reads checkpoints as plain data, and makes the objects that their configurations describe."""

import logging
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from unitf.checkpoints.checksum import check_file, warn_unchecked
from unitf.checkpoints.folder import Checkpoint, is_saved, read_folder
from unitf.checkpoints.members import is_ensemble, members_of
from unitf.checkpoints.update import updated
from unitf.errors import UserError
from unitf.limits import check_members
from unitf.registry.class_names import PlainData
from unitf.registry.configurable import class_of, is_object, remade
from unitf.registry.discovery import class_path

if TYPE_CHECKING:
    from unitf.tokenizer.tokenizer import Tokenizer

_log: logging.Logger = logging.getLogger(__name__)


def find_checkpoint(path: str | Path) -> Path:
    """Returns the checkpoint file of a run folder, of its `checkpoints` folder, or the file itself.

    Raises:
        UserError: there is no such file or folder, or the folder holds no checkpoint.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(f"checkpoint {path}: there is no such file or folder")
    if is_ensemble(path):
        members = members_of(path)
        raise UserError(
            f"checkpoint {path}: found an ensemble of {len(members)} models, expected one of them, "
            f"such as {members[0]}"
        )
    for folder in (path / "checkpoints", path):
        for name in ("best.ckpt", "last.ckpt"):
            if (folder / name).is_file():
                return folder / name
    raise UserError(f"checkpoint {path}: the folder holds no checkpoints/best.ckpt or last.ckpt")


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Reads a checkpoint file, or a folder that `save_folder` wrote; runs no code of it.

    A checkpoint of an earlier version is updated to the format and the names of this version.

    Raises:
        UserError: the file is missing, damaged, not a checkpoint of unitf, or of a later version.
    """
    if is_saved(Path(path).expanduser()):
        return _checked(read_folder(Path(path).expanduser()), path)
    file = find_checkpoint(path)
    try:
        has_checksum = check_file(file)
        check_members(file)
        checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        name = re.search(r"GLOBAL (\S+)", str(error))  # the rest advises to run the code
        reason = f"it holds code: {name[1]}" if name else "it may hold code"
        raise UserError(f"checkpoint {file}: refused, it is not plain data ({reason})") from error
    except UserError as error:
        raise UserError(f"{error}{_whole_one_beside(file)}") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        beside = _whole_one_beside(file)
        raise UserError(f"checkpoint {file}: damaged or not a checkpoint{beside}") from error
    if not has_checksum:
        warn_unchecked(file)
    return _checked(checkpoint, file)


def _whole_one_beside(file: Path) -> str:
    """Returns the end of an error message: the newest whole checkpoint of the same folder."""
    others = [other for other in file.parent.glob("*.ckpt") if other != file]
    for other in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True):
        if _is_readable(other):
            return f"; {other} is whole"
    return ""


def _is_readable(file: Path) -> bool:
    try:
        check_file(file)
        torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError):
        return False
    return True


def to_resume(folder: Path) -> Path:
    """Returns `last.ckpt` of a run, or `best.ckpt` if that is damaged; says in one line which.

    Raises:
        UserError: both are damaged or missing.
    """
    last, best = (folder / "checkpoints" / name for name in ("last.ckpt", "best.ckpt"))
    if _is_readable(last) or not _is_readable(best):
        return last  # whoever reads it says what is wrong
    state = "damaged" if last.exists() else "missing"
    _log.warning("%s: %s; the run goes on from %s", last, state, best)
    return best


def _checked(checkpoint: object, file: str | Path) -> Checkpoint:
    parts: dict[str, PlainData] = checkpoint if isinstance(checkpoint, dict) else {}
    settings, state = parts.get("unitf"), parts.get("state_dict")
    if not isinstance(settings, dict) or not isinstance(settings.get("configuration"), dict):
        raise UserError(f"checkpoint {file}: not made by unitf (it holds no configuration)")
    if not isinstance(state, dict):
        raise UserError(f"checkpoint {file}: not made by unitf (it holds no weights)")
    try:
        return {**parts, "unitf": updated(settings)}
    except UserError as error:
        raise UserError(f"checkpoint {file}: {error}") from error


def tokenizer_factory(settings: dict[str, PlainData]) -> Callable[[int], "Tokenizer"]:
    """Returns a function that makes the tokenizer of a `configuration()`, given D."""
    return lambda dim: remade(settings, dim=dim)


def remake(settings: PlainData, kind: str | None = None, **extra: object) -> Any:
    """Makes the object of a `configuration()`; returns other plain data unchanged."""
    return remade(settings, None, **extra)


def as_class_paths(settings: PlainData, argument: tuple[type, str] | None = None) -> PlainData:
    """Returns a configuration as in a recipe, each class as the dotted path that it has now.

    Args:
        argument: the class whose constructor takes the object, and the name of the argument.
    """
    if isinstance(settings, list):
        return [as_class_paths(item, argument) for item in settings]
    if not isinstance(settings, dict):
        return settings
    if not is_object(settings):
        return {key: as_class_paths(value, argument) for key, value in settings.items()}
    cls = class_of(settings, argument)
    arguments = settings["init_args"].items()
    return {
        "class_path": class_path(cls),
        "init_args": {key: as_class_paths(value, (cls, key)) for key, value in arguments},
    }
