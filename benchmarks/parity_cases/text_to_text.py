"""Text-to-text models of transformers, small, with every option that unitf's mapping knows."""

from functools import partial
from typing import Any

import torch
import transformers
from torch import nn

_T5 = {
    "vocab_size": 40,
    "d_model": 24,
    "d_kv": 6,
    "d_ff": 20,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "num_heads": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 10,
    "decoder_start_token_id": 0,
}
_BART: dict[str, Any] = {
    "vocab_size": 40,
    "d_model": 24,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": 20,
    "decoder_ffn_dim": 20,
    "max_position_embeddings": 16,
}
# transformers gives the row of the padding no gradient, so decoders start with another id
_MARIAN = _BART | {
    "pad_token_id": 39,
    "decoder_start_token_id": 0,
    "activation_function": "swish",
    "scale_embedding": True,
}


def _make(name: str, config: Any) -> nn.Module:
    config._attn_implementation = "eager"
    return getattr(transformers, name)(config)


def _t5(
    name: str = "T5ForConditionalGeneration", untied: bool = False, **options: Any
) -> nn.Module:
    published: Any = _make(name, transformers.T5Config(**{**_T5, **options}))
    if untied:  # as a checkpoint of version 1.1 leaves it, independently of the configuration
        published.lm_head.weight = nn.Parameter(published.lm_head.weight.detach().clone())
    return published


def _bart(name: str = "BartForConditionalGeneration", **options: Any) -> nn.Module:
    return _with_bias(_make(name, transformers.BartConfig(**{**_BART, **options})))


def _marian(name: str = "MarianMTModel", **options: Any) -> nn.Module:
    return _with_bias(_make(name, transformers.MarianConfig(**{**_MARIAN, **options})))


def _with_bias(published: Any) -> nn.Module:
    """Gives the logits a random bias, which is zero in a new model."""
    if hasattr(published, "final_logits_bias"):
        generator = torch.Generator().manual_seed(0)
        published.final_logits_bias.normal_(generator=generator)
    return published


CASES = {
    "T5": _t5,
    "T5 1.1": partial(_t5, feed_forward_proj="gated-gelu", tie_word_embeddings=False, untied=True),
    "T5, gated SiLU": partial(_t5, feed_forward_proj="gated-silu"),
    "T5 without logits": partial(_t5, "T5Model"),
    "T5's encoder": partial(_t5, "T5EncoderModel"),
    "BART": _bart,
    "BART, scaled embedding": partial(_bart, scale_embedding=True, activation_function="relu"),
    "BART without logits": partial(_bart, "BartModel"),
    "Marian": _marian,
    "Marian, unscaled": partial(_marian, scale_embedding=False, activation_function="relu"),
    "Marian, two vocabularies": partial(
        _marian, share_encoder_decoder_embeddings=False, decoder_vocab_size=30, pad_token_id=29
    ),
    "Marian without logits": partial(_marian, "MarianModel"),
}
