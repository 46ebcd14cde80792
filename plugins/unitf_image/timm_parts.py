"""What timm's vision transformers have in common, said in unitf."""

import math
from collections import Counter
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from unitf import Features, UserError
from unitf_image.image_patches import to_rows
from unitf_image.patch_grid import grid_positions, to_grid, whole_patches
from unitf_image.resizing import Resizing

_ACTIVATIONS = {
    "GELUTanh": "gelu_tanh",
    "QuickGELU": "quick_gelu",
    "SiLU": "silu",
    "ReLU": "relu",
}


def is_there(module: nn.Module | None) -> bool:
    """Whether timm has a layer here, and not the placeholder of one."""
    return module is not None and not isinstance(module, nn.Identity)


def norm_of(norm: Any) -> dict[str, Any]:
    """The arguments of TransformerConfig that describe a norm."""
    name = type(norm).__name__
    if isinstance(norm, nn.LayerNorm):
        return {"norm": "layer", "norm_eps": norm.eps, "norm_bias": norm.bias is not None}
    if name == "RmsNorm":
        return {"norm": "rms", "norm_eps": norm.eps}
    raise UserError(f"a norm of class {name} cannot be said in unitf")


def activation_of(mlp: Any) -> Any:
    """The activation of a feed-forward, as TransformerConfig names it."""
    kind, act = type(mlp).__name__, mlp.act
    if kind == "SwiGLU" or (kind == "GluMlp" and not mlp.gate_last and isinstance(act, nn.SiLU)):
        return "swiglu"
    if kind == "Mlp":
        return activation_name(act)
    raise UserError(f"a feed-forward of class {kind} with {act} cannot be said in unitf")


def activation_name(act: nn.Module) -> str:
    """An activation, as TransformerConfig names it."""
    name = type(act).__name__
    if isinstance(act, nn.GELU) or name == "GELU":
        return "gelu" if getattr(act, "approximate", "none") == "none" else "gelu_tanh"
    if name not in _ACTIVATIONS:
        raise UserError(f"the activation {act} cannot be said in unitf")
    return _ACTIVATIONS[name]


def turned(num_heads: int, head_dim: int, halves: bool, columns_first: bool) -> Tensor:
    """The order of rows of queries (or keys) in which unitf's rotary positions turn them.

    unitf turns numbers i and i + d/2, first those that belong to rows of the image.

    Args:
        halves: whether timm pairs the numbers in this way; if not, neighbours.
        columns_first: whether timm's first pairs belong to columns of the image.
    """
    pairs = torch.arange(head_dim // 2)
    if columns_first:
        pairs = pairs.roll(head_dim // 4)
    both = (pairs, pairs + head_dim // 2) if halves else (2 * pairs, 2 * pairs + 1)
    return (torch.arange(num_heads)[:, None] * head_dim + torch.cat(both)).flatten()


def preparation(published: Any) -> dict[str, Any]:
    """The arguments of ImagePatches that prepare an image as timm does when it measures a model."""
    from timm.data import resolve_data_config

    cfg = resolve_data_config(pretrained_cfg=published.pretrained_cfg or {})
    size, channels = published.patch_embed.img_size, published.patch_embed.proj.in_channels
    if cfg["crop_mode"] not in ("center", "squash"):
        raise UserError(f"crop_mode {cfg['crop_mode']!r} cannot be said in unitf")
    if cfg["interpolation"] not in ("bilinear", "bicubic"):
        raise UserError(f"interpolation {cfg['interpolation']!r} cannot be said in unitf")
    resizing = Resizing(
        [math.floor(side / cfg["crop_pct"]) for side in size],
        keep_aspect=cfg["crop_mode"] == "center",
        interpolation=cfg["interpolation"],
    )
    colours = {name: [float(number) for number in cfg[name]] for name in ("mean", "std")}
    if channels != len(colours["mean"]):  # of an image that is not coloured
        colours = {name: [sum(n) / len(n)] * channels for name, n in colours.items()}
    return {"size": list(size), "channels": channels, "resizing": resizing, **colours}


def class_names(published: Any) -> list[int | str]:
    """The names of a peer's classes: those that its file gives, ImageNet's, or numbers."""
    from timm.data import infer_imagenet_subset

    given = (published.pretrained_cfg or {}).get("label_names")
    if given and len(set(given)) == published.num_classes:
        return [str(name) for name in given]
    subset = infer_imagenet_subset({"num_classes": published.num_classes})
    return list(range(published.num_classes)) if subset is None else list(_imagenet(subset))


@cache
def _imagenet(subset: str) -> tuple[str, ...]:
    """The names of the classes of ImageNet, or of one of its larger selections."""
    from timm.data import ImageNetInfo

    known = ImageNetInfo(subset)
    words = known.label_descriptions()
    often = Counter(words)  # two of ImageNet's classes are called "crane"
    pairs = zip(words, known.label_names(), strict=True)
    return tuple(word if often[word] == 1 else f"{word} ({synset})" for word, synset in pairs)


def images(published: Any, count: int = 2) -> tuple[Tensor, Features]:
    """Random normalised images as pixels (S, C, H, W) and as the patches that unitf makes."""
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
