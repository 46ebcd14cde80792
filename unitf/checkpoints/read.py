"""What a checkpoint holds, as plain data, and the objects that its configuration means."""

import pickle
import re
from pathlib import Path
from typing import Any

import torch

from unitf.checkpoints.folder import is_saved, read_folder
from unitf.checkpoints.update import updated
from unitf.errors import UserError
from unitf.registry.configurable import class_of, is_object, remade
from unitf.registry.discovery import class_path


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint file that a run's folder, its `checkpoints` folder or a file name means."""
    path = Path(path).expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(f"checkpoint {path}: there is no such file or folder")
    for folder in (path / "checkpoints", path):
        for name in ("best.ckpt", "last.ckpt"):
            if (folder / name).is_file():
                return folder / name
    raise UserError(f"checkpoint {path}: the folder holds no checkpoints/best.ckpt or last.ckpt")


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """What a checkpoint file, or a folder of `save_folder`, holds; no code in it is run.

    What an earlier version wrote is brought to the format and the words of this one.

    Raises:
        UserError: the file is missing, damaged, not a checkpoint, not one of unitf, or of a later
            version.
    """
    if is_saved(Path(path).expanduser()):
        return _checked(read_folder(Path(path).expanduser()), path)
    file = find_checkpoint(path)
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        name = re.search(r"GLOBAL (\S+)", str(error))  # the rest is advice to run it
        reason = f"it holds code: {name[1]}" if name else "it may hold code"
        raise UserError(f"checkpoint {file}: refused, it is not plain data ({reason})") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise UserError(f"checkpoint {file}: damaged or not a checkpoint") from error
    return _checked(checkpoint, file)


def _checked(checkpoint: Any, file: str | Path) -> dict[str, Any]:
    parts = checkpoint if isinstance(checkpoint, dict) else {}
    settings, state = parts.get("unitf"), parts.get("state_dict")
    if not isinstance(settings, dict) or not isinstance(settings.get("configuration"), dict):
        raise UserError(f"checkpoint {file}: not made by unitf (it holds no configuration)")
    if not isinstance(state, dict):
        raise UserError(f"checkpoint {file}: not made by unitf (it holds no weights)")
    try:
        return {**parts, "unitf": updated(settings)}
    except UserError as error:
        raise UserError(f"checkpoint {file}: {error}") from error


def tokenizer_factory(settings: dict[str, Any]) -> Any:
    """What makes the tokenizer whose `configuration()` `settings` are, given D."""
    return lambda dim: remade(settings, dim=dim)


def remake(settings: Any, kind: str | None = None, **extra: Any) -> Any:
    """The object whose `configuration()` `settings` are; other plain data as it is."""
    return remade(settings, **extra)


def as_class_paths(settings: Any, argument: tuple[type, str] | None = None) -> Any:
    """A configuration as a recipe says it: each object by the dotted path that its class has now.

    Args:
        argument: the class that takes it, and as which argument.
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
