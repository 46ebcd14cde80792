"""The names of timm's plain vision transformers, and small versions of them for a CPU."""

from typing import Any

import timm
import torch

FAMILIES = ("vit_", "deit", "beit", "eva", "samvit")
_SMALL, _LARGE = 192, 2048  # widths: all blocks up to the first, one block from the second on
_PATCHES = 8


def names() -> list[str]:
    """Returns the names in timm's registry whose blocks are all Transformer blocks."""
    return [name for name in timm.list_models() if name.startswith(FAMILIES)]


def make(
    name: str, depth: int | None = None, patches: int | None = None, device: str = "cpu"
) -> Any:
    """Returns the model of this name with random weights.

    Args:
        depth: the number of blocks, if timm has an argument for it; None: all.
        patches: the largest number of patches on each axis of images, which changes only tables
            of positions; None: all.
    """
    wanted = {"depth": depth, "img_size": patches and _size(name, patches)}
    wanted = {key: value for key, value in wanted.items() if value is not None}
    with torch.device(device):
        for arguments in (wanted, {k: v for k, v in wanted.items() if k != "depth"}, {}):
            try:
                return timm.create_model(name, **arguments)
            except (TypeError, AssertionError):  # the model has no such argument
                continue
    raise ValueError(f"timm cannot make {name}")


def reduced(name: str, width: int) -> Any:
    """Returns a model of this name and its real width that a CPU runs in seconds."""
    if width > _SMALL:
        return make(name, 1 if width >= _LARGE else 2, _PATCHES)
    return make(name, patches=_PATCHES)


def _size(name: str, patches: int) -> list[int] | None:
    """Returns the image size of so many patches, plus the rest beyond the last whole patch."""
    cfg: Any = timm.get_pretrained_cfg(name)
    patch = next((int(word[5:]) for word in name.split("_") if word[:5] == "patch"), None)
    if cfg is None or patch is None:
        return None
    return [min(side // patch, patches) * patch + side % patch for side in cfg.input_size[1:]]
