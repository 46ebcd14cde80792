"""A model as a folder: its configuration is a JSON file, its tensors are a safetensors file."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from unitf.checkpoints.atomic import is_full
from unitf.checkpoints.checksum import check_sums, write_sums
from unitf.errors import UserError
from unitf.limits import check_header
from unitf.registry.class_names import PlainData

CONFIG: str = "unitf.json"
WEIGHTS: str = "model.safetensors"
Checkpoint: TypeAlias = dict[str, Any]
"""`unitf` (plain data about the model) and `state_dict` (tensors, and states of components)."""


def save_folder(checkpoint: Checkpoint, folder: str | Path) -> Path:
    """Writes the model of a checkpoint into a new folder, completely or not at all.

    Args:
        checkpoint: `unitf` (the configuration) and `state_dict`, as in a checkpoint file.
        folder: a folder that is empty or does not exist.

    Raises:
        UserError: the folder is not empty, or the disk is full.
    """
    from safetensors import SafetensorError
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
        write_sums(part, (CONFIG, WEIGHTS))
        if folder.exists():
            folder.rmdir()
        part.replace(folder)
    except (OSError, SafetensorError) as error:
        if is_full(error) or "os error 28" in str(error):  # the number that safetensors gives
            raise UserError(f"{folder}: no space left on the disk, nothing is written") from error
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def read_folder(folder: Path) -> Checkpoint:
    """Reads a folder that `save_folder` wrote: `unitf` and `state_dict`.

    Raises:
        UserError: a file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        check_sums(folder, (CONFIG, WEIGHTS))
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror or error}") from error
    try:
        check_header(folder / WEIGHTS)
        settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
        saved_states = settings.pop("states")
        states = {name: _with_tensors(value, tensors) for name, value in saved_states.items()}
    except UserError:
        raise
    except (
        SafetensorError, OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError
    ) as error:  # fmt: skip
        raise UserError(f"{folder}: damaged, or not a folder that unitf saved ({error})") from error
    return {"unitf": settings, "state_dict": {**tensors, **states}}


def is_saved(folder: Path) -> bool:
    """Returns whether `save_folder` wrote this folder."""
    return (folder / CONFIG).is_file()


def _without_tensors(value: object, name: str, tensors: dict[str, Tensor]) -> PlainData:
    """Returns the value with each tensor replaced by its name; adds the tensors to `tensors`."""
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


def _with_tensors(value: PlainData, tensors: dict[str, Tensor]) -> PlainData:
    if isinstance(value, dict):
        if set(value) == {"tensor"}:
            return tensors.pop(value["tensor"])
        return {key: _with_tensors(item, tensors) for key, item in value.items()}
    return [_with_tensors(item, tensors) for item in value] if isinstance(value, list) else value
