"""A model as a folder: its configuration as JSON, its tensors as safetensors."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unitf.errors import UserError

CONFIG, WEIGHTS = "unitf.json", "model.safetensors"


def save_folder(checkpoint: Mapping[str, Any], folder: str | Path) -> Path:
    """Writes what a checkpoint holds of a model; the folder is whole, or not there.

    Args:
        checkpoint: `unitf` (the configuration) and `state_dict`, as in a checkpoint file.

    Raises:
        UserError: the folder holds something already.
    """
    from safetensors.torch import save_file

    folder = Path(folder).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is there already, expected a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    states = {
        name: _without_tensors(value, f"{name}.", tensors)
        for name, value in checkpoint["state_dict"].items()
        if not isinstance(value, Tensor)
    }
    for name, value in checkpoint["state_dict"].items():
        if isinstance(value, Tensor):
            tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        part.chmod(0o755)
        save_file(tensors, part / WEIGHTS, metadata={"format": "pt"})
        text = json.dumps({**checkpoint["unitf"], "states": states}, indent=1, ensure_ascii=False)
        (part / CONFIG).write_text(text, encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def read_folder(folder: Path) -> dict[str, Any]:
    """The way back from `save_folder`: `unitf` and `state_dict`.

    Raises:
        UserError: a file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
        states = {n: _with_tensors(s, tensors) for n, s in settings.pop("states").items()}
    except (SafetensorError, OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise UserError(f"{folder}: damaged, or not a folder that unitf saved ({error})") from error
    return {"unitf": settings, "state_dict": {**tensors, **states}}


def is_saved(folder: Path) -> bool:
    """Whether a folder is one of `save_folder`'s."""
    return (folder / CONFIG).is_file()


def _without_tensors(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Plain data, with each tensor in it replaced by its name among the tensors."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {
            key: _without_tensors(item, f"{name}{key}.", tensors) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [
            _without_tensors(item, f"{name}{number}.", tensors) for number, item in enumerate(value)
        ]
    return value


def _with_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if set(value) == {"tensor"}:
            return tensors.pop(value["tensor"])
        return {key: _with_tensors(item, tensors) for key, item in value.items()}
    return [_with_tensors(item, tensors) for item in value] if isinstance(value, list) else value
