"""All of timm's plain vision transformers by name, and which of them unitf says."""

from typing import Any

import timm
import torch

FAMILIES = ("vit_", "deit", "beit", "eva", "samvit")


def names() -> list[str]:
    """The names of timm's registry whose blocks are Transformers throughout."""
    return [name for name in timm.list_models() if name.startswith(FAMILIES)]


def make(name: str, depth: int | None = None, device: str = "cpu") -> Any:
    """The model of this name with random weights; with fewer blocks, where it takes them.

    Images are cut to at most 16×16 patches, which changes no block: only the tables of positions.
    """
    size = _size(name)
    with torch.device(device):
        for arguments in ({"depth": depth, "img_size": size}, {"img_size": size}, {}):
            given = {key: value for key, value in arguments.items() if value is not None}
            try:
                return timm.create_model(name, **given)
            except (TypeError, AssertionError):
                continue
    raise ValueError(f"timm cannot make {name}")


def _size(name: str) -> list[int] | None:
    """Rows and columns of at most 16 patches, of the image that the model is for."""
    cfg: Any = timm.get_pretrained_cfg(name)
    if cfg is None:
        return None
    whole = cfg.input_size[1:]
    patch = next((int(word[5:]) for word in name.split("_") if word[:5] == "patch"), None)
    if patch is None or max(whole) <= 16 * patch:
        return None
    return [min(side // patch, 16) * patch for side in whole]
