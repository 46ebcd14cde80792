"""Helpers that map parts of timm's vision transformers to unitf."""

import math
from collections import Counter
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from unitf import Features, UserError
from unitf_image.patch_grid import grid_positions, to_grid, whole_patches
from unitf_image.resizing import Resizing
from unitf_image.rows import to_rows

_ACTIVATIONS = {
    "GELUTanh": "gelu_tanh",
    "QuickGELU": "quick_gelu",
    "SiLU": "silu",
    "ReLU": "relu",
}


def is_there(module: nn.Module | None) -> bool:
    """Whether timm has a layer here and not an identity as a placeholder."""
    return module is not None and not isinstance(module, nn.Identity)


def norm_of(norm: Any) -> dict[str, Any]:
    """Returns the arguments of TransformerConfig that describe a norm."""
    name = type(norm).__name__
    if isinstance(norm, nn.LayerNorm):
        return {"norm": "layer", "norm_eps": norm.eps, "norm_bias": norm.bias is not None}
    if name == "RmsNorm":
        return {"norm": "rms", "norm_eps": norm.eps}
    raise UserError(f"a norm of class {name} is not supported")


def activation_of(mlp: Any) -> Any:
    """Returns the activation of a feed-forward as TransformerConfig names it."""
    kind, act = type(mlp).__name__, mlp.act
    if kind == "SwiGLU" or (kind == "GluMlp" and not mlp.gate_last and isinstance(act, nn.SiLU)):
        return "swiglu"
    if kind == "Mlp":
        return activation_name(act)
    raise UserError(f"a feed-forward of class {kind} with {act} is not supported")


def activation_name(act: nn.Module) -> str:
    """Returns the name of an activation in TransformerConfig."""
    name = type(act).__name__
    if isinstance(act, nn.GELU) or name == "GELU":
        return "gelu" if getattr(act, "approximate", "none") == "none" else "gelu_tanh"
    if name not in _ACTIVATIONS:
        raise UserError(f"the activation {act} is not supported")
    return _ACTIVATIONS[name]


def turned(num_heads: int, head_dim: int, halves: bool, columns_first: bool) -> Tensor:
    """Returns the order of the rows of queries (or keys) for unitf's rotary positions.

    unitf rotates numbers i and i + d/2 as a pair; the first pairs belong to rows of the image.

    Args:
        halves: whether timm pairs numbers in the same way; if not, it pairs neighbours.
        columns_first: whether timm's first pairs belong to columns of the image.
    """
    pairs = torch.arange(head_dim // 2)
    if columns_first:
        pairs = pairs.roll(head_dim // 4)
    both = (pairs, pairs + head_dim // 2) if halves else (2 * pairs, 2 * pairs + 1)
    return (torch.arange(num_heads)[:, None] * head_dim + torch.cat(both)).flatten()


def preparation(published: Any) -> dict[str, Any]:
    """Returns arguments of ImagePatches that prepare an image as timm's evaluation does."""
    from timm.data import resolve_data_config

    cfg = resolve_data_config(pretrained_cfg=published.pretrained_cfg or {})
    size, channels = published.patch_embed.img_size, published.patch_embed.proj.in_channels
    if cfg["crop_mode"] not in ("center", "squash"):
        raise UserError(f"crop_mode {cfg['crop_mode']!r} is not supported")
    if cfg["interpolation"] not in ("bilinear", "bicubic"):
        raise UserError(f"interpolation {cfg['interpolation']!r} is not supported")
    resizing = Resizing(
        [math.floor(side / cfg["crop_pct"]) for side in size],
        keep_aspect=cfg["crop_mode"] == "center",
        interpolation=cfg["interpolation"],
    )
    colours = {name: [float(number) for number in cfg[name]] for name in ("mean", "std")}
    if channels != len(colours["mean"]):  # the image is not in colour
        colours = {name: [sum(n) / len(n)] * channels for name, n in colours.items()}
    return {"size": list(size), "channels": channels, "resizing": resizing, **colours}


def class_names(published: Any) -> list[int | str]:
    """Returns the class names of a model: those of its file, those of ImageNet, or numbers."""
    from timm.data import infer_imagenet_subset

    names = (published.pretrained_cfg or {}).get("label_names")
    if names and len(set(names)) == published.num_classes:
        return [str(name) for name in names]
    subset = infer_imagenet_subset({"num_classes": published.num_classes})
    return list(range(published.num_classes)) if subset is None else list(_imagenet(subset))


@cache
def _imagenet(subset: str) -> tuple[str, ...]:
    """Returns the class names of ImageNet or of one of its subsets."""
    from timm.data import ImageNetInfo

    known = ImageNetInfo(subset)
    words = known.label_descriptions()
    often = Counter(words)  # two of ImageNet's classes are called "crane"
    pairs = zip(words, known.label_names(), strict=True)
    return tuple(word if often[word] == 1 else f"{word} ({synset})" for word, synset in pairs)


def images(published: Any, count: int = 2) -> tuple[Tensor, Features]:
    """Returns random normalised images as pixels (S, C, H, W) and as unitf's patches."""
    embed = published.patch_embed
    pixels = torch.randn(count, embed.proj.in_channels, *embed.img_size)
    patch = tuple(embed.patch_size)
    rows, columns = whole_patches(embed.img_size, patch)
    positions = grid_positions(to_grid((rows, columns), patch))
    parts = [
        Features(torch.from_numpy(to_rows(image[:, :rows, :columns].numpy(), patch)).mT, positions)
        for image in pixels
    ]
    return pixels, Features.pack(parts)
