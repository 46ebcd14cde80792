"""Image models of timm, small, with every option that unitf's mapping knows."""

from functools import partial

import timm
from timm.layers import SwiGLUPacked
from torch import nn

SMALL = {
    "img_size": 32,
    "patch_size": 8,
    "embed_dim": 24,
    "depth": 3,
    "num_heads": 3,
    "num_classes": 7,
}


def _vit(**options: object) -> nn.Module:
    return timm.create_model("vit_tiny_patch16_224", **{**SMALL, **options})


CASES = {
    "class token": _vit,
    "average pooling": partial(_vit, global_pool="avg", class_token=False),
    "average pooling with a class token": partial(_vit, global_pool="avg"),
    "without a head": partial(_vit, num_classes=0),
    "registers, layer scale": partial(_vit, reg_tokens=4, no_embed_class=True, init_values=1e-5),
    "registers with positions": partial(_vit, reg_tokens=2),
    "pre-norm, quick GELU": partial(_vit, pre_norm=True, act_layer="quick_gelu"),
    "packed SwiGLU": partial(_vit, mlp_layer=SwiGLUPacked, act_layer="silu", mlp_ratio=4),
    "MAP pooling": partial(_vit, global_pool="map", class_token=False, act_layer="gelu_tanh"),
    "norm of queries and keys": partial(_vit, qk_norm=True, qkv_bias=False),
    "scale norms": partial(_vit, scale_attn_norm=True, scale_mlp_norm=True),
    "no positions, no biases": partial(_vit, pos_embed="none", qkv_bias=False, proj_bias=False),
    "distilled": partial(timm.create_model, "deit_tiny_distilled_patch16_224", **SMALL),
}
