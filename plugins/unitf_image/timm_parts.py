"""What timm's vision transformers have in common, said in unitf."""

from typing import Any

import torch
from torch import Tensor, nn

from unitf import Features, UserError
from unitf_image.patches import grid_positions, to_grid, to_rows


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
        name = type(act).__name__
        if isinstance(act, nn.GELU) or name == "GELU":
            return "gelu" if getattr(act, "approximate", "none") == "none" else "gelu_tanh"
        named = {"GELUTanh": "gelu_tanh", "QuickGELU": "quick_gelu", "SiLU": "silu", "ReLU": "relu"}
        if name in named:
            return named[name]
    raise UserError(f"a feed-forward of class {kind} with {act} cannot be said in unitf")


def images(peer: Any, count: int = 2) -> tuple[Tensor, Features]:
    """Random normalised images as pixels (S, C, H, W) and as the patches that unitf makes."""
    embed = peer.patch_embed
    size = getattr(embed, "img_size", None) or peer.pretrained_cfg["input_size"][1:]
    pixels = torch.randn(count, embed.proj.in_channels, *size)
    patch = tuple(embed.patch_size)
    parts = [
        Features(
            torch.from_numpy(to_rows(image.numpy(), patch)).mT, grid_positions(to_grid(size, patch))
        )
        for image in pixels
    ]
    return pixels, Features.pack(parts)
