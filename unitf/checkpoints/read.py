"""What a checkpoint holds, as plain data, and the objects that its configuration means."""

import pickle
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from unitf import registry
from unitf.checkpoints.folder import is_saved, read_folder
from unitf.errors import UserError
from unitf.registry.configurable import Configurable


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

    Raises:
        UserError: the file is missing, damaged, not a checkpoint, or not one of unitf.
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
    return parts


def tokenizer_factory(settings: dict[str, Any]) -> Any:
    """What makes the tokenizer whose `configuration()` `settings` are, given D."""
    return lambda dim: remake(settings, "tokenizers", dim=dim)


def remake(settings: Any, kind: str | None = None, **extra: Any) -> Any:
    """The object whose `configuration()` `settings` are; other plain data as it is."""
    if isinstance(settings, list):
        return [remake(item) for item in settings]
    if not isinstance(settings, dict):
        return settings
    if set(settings) != {"class_path", "init_args"}:
        return {key: remake(value) for key, value in settings.items()}
    path = settings["class_path"]
    cls = registry.find(kind, path) if kind else _configurable(path)
    return cls(**{key: remake(value) for key, value in settings["init_args"].items()}, **extra)


def _configurable(path: str) -> type:
    """A class that belongs to unitf or an installed plugin; no other module is imported."""
    module, _, name = path.rpartition(".")
    if not any(module == own or module.startswith(f"{own}.") for own in registry.modules()):
        raise UserError(f"the checkpoint needs {path}, which no installed plugin has")
    cls = getattr(import_module(module), name, None)
    if not (isinstance(cls, type) and issubclass(cls, Configurable)):
        raise UserError(f"the checkpoint needs {path}, which is not a class of settings")
    return cls
