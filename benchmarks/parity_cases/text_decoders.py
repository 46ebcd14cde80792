"""Text decoders of transformers, small, with every option that unitf's mapping knows."""

from functools import partial
from typing import Any

import transformers
from torch import nn

_SMALL = {
    "vocab_size": 37,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 40,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_LLAMA = {**_SMALL, "intermediate_size": 40, "num_key_value_heads": 2}
_GEMMA = {**_LLAMA, "head_dim": 8, "sliding_window": 4, "query_pre_attn_scalar": 20}
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
_LINEAR = {"rope_type": "linear", "rope_theta": 1000.0, "factor": 4.0}
_YARN = {
    "rope_type": "yarn",
    "rope_theta": 1000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 10,
}


def _make(family: str, head: str = "ForCausalLM", **options: Any) -> nn.Module:
    config = "Gemma3TextConfig" if family == "Gemma3Text" else f"{family}Config"
    settings = getattr(transformers, config)(**options)
    settings._attn_implementation = "eager"
    name = family.removesuffix("Text") if head == "ForCausalLM" else family
    return getattr(transformers, f"{name}{head}")(settings)


def _family(name: str, base: dict[str, Any], **variants: dict[str, Any]) -> dict[str, Any]:
    """Returns a language model, its body, a classifier, and variants of the language model."""
    language = "LMHeadModel" if name == "GPT2" else "ForCausalLM"
    makers = {
        "": partial(_make, name, language, **base),
        "body": partial(_make, name, "Model", **base),
        "classifier": partial(_make, name, "ForSequenceClassification", num_labels=3, **base),
    }
    makers |= {
        title.replace("_", " "): partial(_make, name, language, **{**base, **options})
        for title, options in variants.items()
    }
    return {f"{name} {title}".strip(): make for title, make in makers.items()}


_GPT2 = {**_SMALL, "activation_function": "gelu_new"}
_OPT = {**_SMALL, "ffn_dim": 40}
_NARROW = {**_OPT, "word_embed_proj_dim": 12, "do_layer_norm_before": False}
_SLIDING = {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}
_MANY = {"num_labels": 3, "problem_type": "multi_label_classification"}

CASES = {
    **_family(
        "GPT2",
        _GPT2,
        untied={"tie_word_embeddings": False},
        options={"n_inner": 20, "activation_function": "relu", "scale_attn_weights": False},
    ),
    "GPT2 one number": partial(_make, "GPT2", "ForSequenceClassification", num_labels=1, **_GPT2),
    "GPT2 no padding id": partial(
        _make, "GPT2", "ForSequenceClassification", **{**_GPT2, "pad_token_id": None}
    ),
    **_family(
        "GPTNeoX",
        {**_LLAMA, "hidden_size": 32, "rotary_pct": 0.5},
        tied={"tie_word_embeddings": True},
        sequential={"use_parallel_residual": False, "attention_bias": False},
        linear={"rope_parameters": {**_LINEAR, "partial_rotary_factor": 0.25}},
    ),
    **_family(
        "OPT",
        _OPT,
        untied={"tie_word_embeddings": False, "enable_bias": False},
        post_norm={"do_layer_norm_before": False, "activation_function": "gelu"},
        no_final_norm={"_remove_final_layer_norm": True},
    ),
    "OPT narrow": partial(_make, "OPT", **_NARROW),
    "OPT narrow body": partial(_make, "OPT", "Model", **_NARROW),
    **_family(
        "Phi",
        {**_LLAMA, "hidden_size": 32, "partial_rotary_factor": 0.5},
        norms={"qk_layernorm": True, "tie_word_embeddings": True},
        llama3={"rope_parameters": {**_LLAMA3, "partial_rotary_factor": 0.5}},
    ),
    **_family(
        "Llama",
        _LLAMA,
        tied={"tie_word_embeddings": True, "num_key_value_heads": 4, "hidden_act": "gelu"},
        biases={"attention_bias": True, "mlp_bias": True, "head_dim": 10},
        llama3={"rope_parameters": _LLAMA3},
        linear={"rope_parameters": _LINEAR},
        yarn={"rope_parameters": _YARN},
    ),
    "Llama several labels": partial(_make, "Llama", "ForSequenceClassification", **_MANY, **_LLAMA),
    **_family("Mistral", {**_LLAMA, "sliding_window": 4}, no_window={"sliding_window": None}),
    **_family("Qwen2", _LLAMA, windows=_SLIDING, tied={"tie_word_embeddings": True}),
    **_family(
        "Qwen3",
        {**_LLAMA, "head_dim": 10},
        windows=_SLIDING,
        biases={"attention_bias": True, "tie_word_embeddings": True},
    ),
    **_family("Gemma", {**_LLAMA, "head_dim": 8}),
    **_family(
        "Gemma2",
        {**_GEMMA, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
        no_caps={"attn_logit_softcapping": None, "final_logit_softcapping": None},
    ),
    **_family(
        "Gemma3Text",
        {**_GEMMA, "sliding_window_pattern": 2},
        scaled={
            "rope_parameters": {
                "full_attention": {**_LINEAR, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            }
        },
        global_only={"layer_types": ["full_attention"] * 3, "final_logit_softcapping": 3.0},
        local_only={"layer_types": ["sliding_attention"] * 3},
    ),
    **_family(
        "StableLm",
        {**_LLAMA, "hidden_size": 32, "partial_rotary_factor": 0.5},
        biases={"use_qkv_bias": True, "tie_word_embeddings": True},
        side_by_side={"use_parallel_residual": True},
        linear={"rope_parameters": {**_LINEAR, "partial_rotary_factor": 0.25}},
    ),
}
