"""Image models of timm, small, with every option that unitf's mapping knows."""

from functools import partial

import timm
from timm.layers import RmsNorm, SwiGLUPacked
from timm.models.vision_transformer import ParallelScalingBlock, ResPostBlock
from torch import nn

SMALL = {
    "img_size": 32,
    "patch_size": 8,
    "embed_dim": 24,
    "depth": 3,
    "num_heads": 3,
    "num_classes": 7,
}


_HEADS = {"embed_dim": 24, "num_heads": 2}  # heads of 12 numbers: three pairs rotate on each axis


def _vit(**options: object) -> nn.Module:
    return timm.create_model("vit_tiny_patch16_224", **{**SMALL, **options})


def _other(name: str, **options: object) -> nn.Module:
    return timm.create_model(name, **{**SMALL, "img_size": (32, 24), **options})


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
    "norms after the layers": partial(_vit, block_fn=ResPostBlock, init_values=1e-4),
    "parallel": partial(
        _vit, block_fn=ParallelScalingBlock, norm_layer=RmsNorm, qkv_bias=False, qk_norm=True
    ),
    "parallel, layer scale": partial(_vit, block_fn=ParallelScalingBlock, init_values=1e-5),
    "no whole patches": partial(_vit, img_size=(38, 30)),
    "grey": partial(_vit, in_chans=1),
    "distilled": partial(timm.create_model, "deit_tiny_distilled_patch16_224", **SMALL),
    "distilled, without a head": partial(
        timm.create_model, "deit_tiny_distilled_patch16_224", **{**SMALL, "num_classes": 0}
    ),
    "BEiT": partial(_other, "beit_base_patch16_224"),
    "BEiT, class token": partial(_other, "beit_base_patch16_224", global_pool="token"),
    "BEiT, SwiGLU": partial(_other, "beitv2_base_patch16_224", swiglu_mlp=True, scale_mlp=True),
    "BEiT, absolute positions": partial(
        _other,
        "beit_base_patch16_224",
        use_abs_pos_emb=True,
        use_rel_pos_bias=False,
        qkv_bias=False,
        init_values=None,
    ),
    "BEiT-3": partial(_other, "beit3_base_patch16_224"),
    "EVA": partial(_other, "eva_giant_patch14_224"),
    "EVA, CLIP": partial(_other, "eva_giant_patch14_clip_224"),
    "EVA-02, norms after the layers": partial(_other, "eva02_enormous_patch14_clip_224"),
    "EVA-02": partial(_other, "eva02_base_patch14_224", **_HEADS),
    "EVA-02, tiny": partial(_other, "eva02_tiny_patch14_224", **_HEADS),
    "EVA-02, CLIP": partial(_other, "eva02_base_patch16_clip_224", **_HEADS),
    "rotary": partial(_other, "vit_small_patch16_rope_224", **_HEADS),
    "rotary and absolute": partial(_other, "vit_small_patch16_rope_ape_224", **_HEADS),
    "mixed rotary": partial(_other, "vit_small_patch16_rope_mixed_224", **_HEADS),
    "mixed rotary and absolute": partial(_other, "vit_small_patch16_rope_mixed_ape_224", **_HEADS),
    "rotary, registers": partial(_other, "vit_medium_patch16_rope_reg1_gap_256", **_HEADS),
    "rotary, norm of queries and keys": partial(
        _other, "vit_small_patch16_rope_224", qk_norm=True, qkv_fused=False, **_HEADS
    ),
    "Perception Encoder, core": partial(_other, "vit_pe_core_base_patch16_224", **_HEADS),
    "Perception Encoder, language": partial(_other, "vit_pe_lang_large_patch14_448", **_HEADS),
    "Perception Encoder, space": partial(_other, "vit_pe_spatial_tiny_patch16_512", **_HEADS),
    "DINOv3": partial(_other, "vit_small_patch16_dinov3", **_HEADS),
    "DINOv3, biases": partial(_other, "vit_small_patch16_dinov3_qkvb", **_HEADS),
    "DINOv3, SwiGLU": partial(_other, "vit_small_plus_patch16_dinov3", **_HEADS),
}
