"""All of timm's plain vision transformers by name, and models of them small enough for a CPU."""

from typing import Any

import timm
import torch

FAMILIES = ("vit_", "deit", "beit", "eva", "samvit")
_SMALL, _LARGE = 192, 2048  # widths up to, and from, which fewer blocks say as much
_PATCHES = 8


def names() -> list[str]:
    """The names of timm's registry whose blocks are Transformers throughout."""
    return [name for name in timm.list_models() if name.startswith(FAMILIES)]


def make(
    name: str, depth: int | None = None, patches: int | None = None, device: str = "cpu"
) -> Any:
    """The model of this name with random weights.

    Args:
        depth: how many blocks it has, if timm lets them be chosen; None: all.
        patches: how many each axis of its images has at most, which changes tables of positions
            alone; None: all.
    """
    wanted = {"depth": depth, "img_size": patches and _size(name, patches)}
    wanted = {key: value for key, value in wanted.items() if value is not None}
    with torch.device(device):
        for arguments in (wanted, {k: v for k, v in wanted.items() if k != "depth"}, {}):
            try:
                return timm.create_model(name, **arguments)
            except (TypeError, AssertionError):  # it takes no such argument
                continue
    raise ValueError(f"timm cannot make {name}")


def reduced(name: str, width: int) -> Any:
    """A model of this name, and of its width, that a CPU computes in seconds."""
    if width > _SMALL:
        return make(name, 1 if width >= _LARGE else 2, _PATCHES)
    return make(name, patches=_PATCHES)


def _size(name: str, patches: int) -> list[int] | None:
    """Rows and columns of so many patches, and of what is left beyond the last of them."""
    cfg: Any = timm.get_pretrained_cfg(name)
    patch = next((int(word[5:]) for word in name.split("_") if word[:5] == "patch"), None)
    if cfg is None or patch is None:
        return None
    return [min(side // patch, patches) * patch + side % patch for side in cfg.input_size[1:]]
