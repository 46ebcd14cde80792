"""Whisper of transformers, small, with every option that unitf's mapping knows."""

from functools import partial
from typing import Any

import transformers
from torch import nn

# transformers gives the row of the padding no gradient, so decoders start with another id
_SMALL: dict[str, Any] = {
    "vocab_size": 40,
    "num_mel_bins": 10,
    "d_model": 24,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": 20,
    "decoder_ffn_dim": 20,
    "max_source_positions": 15,
    "max_target_positions": 12,
    "decoder_start_token_id": 3,
    "pad_token_id": 39,
    "bos_token_id": 39,
    "eos_token_id": 39,
}


def _whisper(name: str = "WhisperForConditionalGeneration", **options: Any) -> nn.Module:
    config = transformers.WhisperConfig(**{**_SMALL, **options})
    config._attn_implementation = "eager"
    return getattr(transformers, name)(config)


CASES = {
    "Whisper": _whisper,
    "Whisper without logits": partial(_whisper, "WhisperModel", activation_function="relu"),
}
