"""Models of transformers that compare images with texts, small, and their text towers."""

from functools import partial
from typing import Any

import transformers
from torch import nn

_TEXT = {
    "vocab_size": 60,
    "max_position_embeddings": 12,
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "bos_token_id": 50,
    "eos_token_id": 51,
    "pad_token_id": 51,
}
_VISION = {
    "image_size": 24,
    "patch_size": 8,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def _model(name: str, **options: Any) -> nn.Module:
    """Returns a text tower by the name of its class."""
    cls: Any = getattr(transformers, name)
    config = cls.config_class(**{**_TEXT, **options})
    config._attn_implementation = "eager"
    return cls(config)


def whole(name: str, text: dict[str, Any] | None = None, **options: Any) -> nn.Module:
    """Returns a model with both towers."""
    cls: Any = getattr(transformers, name)
    config = cls.config_class(
        text_config={**_TEXT, **(text or {})}, vision_config=_VISION, **options
    )
    for part in (config, config.text_config, config.vision_config):
        part._attn_implementation = "eager"
    return cls(config)


CASES = {
    "CLIP text": partial(_model, "CLIPTextModel"),
    "CLIP text, highest id ends": partial(_model, "CLIPTextModel", eos_token_id=2),
    "CLIP text, projected": partial(
        _model, "CLIPTextModelWithProjection", projection_dim=16, hidden_act="gelu"
    ),
    "SigLIP text": partial(_model, "SiglipTextModel", projection_size=32),
}
WHOLE = {
    "CLIP": partial(whole, "CLIPModel", projection_dim=16),
    "SigLIP": partial(whole, "SiglipModel", text={"projection_size": 32}),
}
