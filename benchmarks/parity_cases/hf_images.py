"""Image models of transformers, small, with every option that unitf's mapping knows."""

from functools import partial
from typing import Any

import transformers
from torch import nn

_SMALL = {
    "image_size": 24,
    "patch_size": 8,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "num_labels": 5,
    "_attn_implementation": "eager",
}


def _model(name: str, **options: Any) -> nn.Module:
    """Returns a model by the name of its class, with the configuration of that class."""
    cls: Any = getattr(transformers, name)
    config = cls.config_class(**{**_SMALL, **options})
    config._attn_implementation = "eager"
    return cls(config)


_VIT = {"intermediate_size": 48}
_DINO = {"mlp_ratio": 2, "layerscale_value": 0.5}

_CLIP = {"intermediate_size": 48, "projection_dim": 16}
_SIGLIP = {"intermediate_size": 48}
_YOLOS = {
    "intermediate_size": 48,
    "image_size": [16, 32],
    "num_detection_tokens": 4,
    "use_mid_position_embeddings": False,
}

CASES = {
    "ViT": partial(_model, "ViTModel", **_VIT),
    "ViT, classifier": partial(_model, "ViTForImageClassification", **_VIT, hidden_act="relu"),
    "ViT, oblong": partial(
        _model, "ViTModel", **_VIT, image_size=[16, 32], patch_size=[4, 8], qkv_bias=False
    ),
    "DeiT": partial(_model, "DeiTModel", **_VIT, hidden_act="gelu_new", pooler_act="gelu"),
    "DeiT, classifier": partial(_model, "DeiTForImageClassification", **_VIT, num_channels=1),
    "DeiT, distilled": partial(_model, "DeiTForImageClassificationWithTeacher", **_VIT),
    "DINOv2": partial(_model, "Dinov2Model", **_DINO),
    "DINOv2, classifier": partial(
        _model, "Dinov2ForImageClassification", **_DINO, use_mask_token=False
    ),
    "DINOv2, SwiGLU": partial(_model, "Dinov2Model", **_DINO, use_swiglu_ffn=True, qkv_bias=False),
    "DINOv2, registers": partial(
        _model, "Dinov2WithRegistersForImageClassification", **_DINO, num_register_tokens=2
    ),
    "DINOv2, registers, no head": partial(_model, "Dinov2WithRegistersModel", **_DINO),
    "CLIP": partial(_model, "CLIPVisionModel", **_CLIP),
    "CLIP, projected": partial(_model, "CLIPVisionModelWithProjection", **_CLIP, hidden_act="gelu"),
    "SigLIP": partial(_model, "SiglipVisionModel", **_SIGLIP),
    "YOLOS": partial(_model, "YolosModel", **_YOLOS),
    "YOLOS, objects": partial(_model, "YolosForObjectDetection", **_YOLOS),
    "SigLIP, no head": partial(_model, "SiglipVisionModel", **_SIGLIP, vision_use_head=False),
}
