"""Checks of weights on disk before a library reads them, and its errors in one line."""

import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unitf import UserError
from unitf.interop import check_header


def check_folder(folder: Path) -> None:
    """Refuses a folder without a readable configuration and complete weights.

    Raises:
        UserError: a file is missing, damaged, or a pickle that contains code.
    """
    config = folder / "config.json"
    try:
        json.loads(config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder}: holds no config.json") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{config}: not readable as JSON ({error})") from error
    tensors = sorted(folder.glob("*.safetensors"))
    pickles = sorted(folder.glob("*.bin")) + sorted(folder.glob("*.pth"))
    if not tensors and not pickles:
        raise UserError(f"{folder}: holds no weights (*.safetensors or *.bin)")
    for file in tensors:
        _check_tensors(file)
    for file in pickles if not tensors else ():
        _check_pickle(file)


def _check_tensors(file: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        check_header(file)
        with safe_open(file, "pt") as opened:
            opened.keys()
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file}: damaged or truncated ({error})") from error


def _check_pickle(file: Path) -> None:
    import torch

    try:
        torch.load(file, map_location="meta", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{file}: refused, it is not plain data ({reason})") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise UserError(f"{file}: damaged or truncated") from error


@contextmanager
def explained(source: str) -> Iterator[None]:
    """Turns errors of a library that could not open a model into a UserError of one line."""
    try:
        yield
    except UserError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, EOFError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "trust_remote_code" in reason:  # the rest advises to run it
            reason = "it holds code of its own, which is not run; expected a model of the library"
        raise UserError(f"{source}: {reason[:400]}") from error


def cached_repositories() -> list[str]:
    """Returns the models in the hub's cache on this machine."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return []
    return sorted(
        repository.repo_id for repository in repositories if repository.repo_type == "model"
    )
