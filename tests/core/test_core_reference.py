"""The core against the textbook, in float64: outputs and every gradient."""

import pytest
import torch
from core_reference import stack

from unitf.core import Transformer, TransformerConfig
from unitf.tokens import Tokens

VARIANTS = {
    "pre": {},
    "post": {"norm_position": "post"},
    "rms without biases": {"norm": "rms", "bias": False},
    "batch norm": {"norm": "batch"},
    "causal": {"kind": "decoder"},
    "grouped": {"num_kv_heads": 2},
    "one kv head, causal": {"num_kv_heads": 1, "kind": "decoder"},
    "window": {"window": 2},
    "causal window": {"window": 1, "kind": "decoder"},
    "chunk": {"chunk": 3},
    "rotary": {"relative_positions": "rotary", "kind": "decoder"},
    "rotary on two axes": {"relative_positions": "rotary", "position_axes": 2},
    "rotary on three axes": {"relative_positions": "rotary", "position_axes": 3, "head_dim": 8},
    "mixed, on two axes": {"relative_positions": "rope_mixed", "position_axes": 2},
    "mixed, causal": {"relative_positions": "rope_mixed", "kind": "decoder"},
    "alibi": {"relative_positions": "alibi"},
    "alibi, causal, window, grouped": {
        "relative_positions": "alibi",
        "kind": "decoder",
        "window": 2,
        "num_kv_heads": 2,
    },
    "head_dim": {"head_dim": 6},
    "gelu_tanh": {"activation": "gelu_tanh"},
    "relu": {"activation": "relu", "norm_position": "post"},
    "silu": {"activation": "silu"},
    "geglu": {"activation": "geglu"},
    "reglu": {"activation": "reglu"},
    "swiglu": {"activation": "swiglu", "norm": "rms", "bias": False},
    "layer scale": {"layer_scale": 0.5},
    "input norm": {"input_norm": True},
    "quick_gelu": {"activation": "quick_gelu"},
    "rms_offset, geglu_tanh": {"norm": "rms_offset", "activation": "geglu_tanh", "bias": False},
    "branch": {"norm_position": "res_post", "layer_scale": 0.5},
    "both": {"norm_position": "sandwich", "norm": "rms_offset"},
    "no final norm": {"final_norm": False},
    "post with a final norm": {"norm_position": "post", "final_norm": True},
    "no first norm": {"first_norm": False},
    "biases": {"qkv_bias": False, "attention_out_bias": False, "norm_bias": False},
    "no bias but these": {"bias": False, "qkv_bias": True, "norm_bias": True},
    "head norms": {"qk_norm": True, "num_kv_heads": 2},
    "head norms, rotary": {"qk_norm": True, "norm": "rms_offset", "relative_positions": "rotary"},
    "scale": {"attention_scale": 1.0},
    "softcap": {"attention_softcap": 0.7, "num_kv_heads": 2},
    "softcap, scale, causal": {
        "attention_softcap": 0.7,
        "attention_scale": 0.3,
        "kind": "decoder",
        "relative_positions": "alibi",
    },
    "norms inside": {"attention_norm": True, "hidden_norm": True, "activation": "swiglu"},
    "batch norms inside": {"attention_norm": True, "hidden_norm": True, "norm": "batch"},
    "parallel": {"residual": "parallel", "layer_scale": 0.5},
    "parallel, one norm": {"residual": "parallel_shared", "layer_scale": 0.5},
    "shared blocks": {"share_blocks": True, "depth": 3, "norm_position": "post"},
    "buckets": {"relative_positions": "t5", "num_buckets": 8, "max_distance": 8},
    "buckets, causal, window": {
        "relative_positions": "t5",
        "num_buckets": 8,
        "max_distance": 8,
        "kind": "decoder",
        "window": 3,
    },
    "grid": {"relative_positions": "beit", "grid": [3, 4], "position_axes": 2},
    "grid of one axis, shared": {
        "relative_positions": "beit",
        "grid": [9, 1],
        "share_blocks": True,
    },
    "partial rotary": {"relative_positions": "rotary", "head_dim": 6, "rotary_dim": 4},
    "partial rotary on two axes": {
        "relative_positions": "rotary",
        "head_dim": 8,
        "rotary_dim": 6,
        "position_axes": 2,
    },
    "frequencies": {"relative_positions": "rotary", "rotary_frequencies": [0.7, 0.1]},
    "frequencies on two axes": {
        "relative_positions": "rotary",
        "position_axes": 2,
        "rotary_frequencies": [0.7, 0.2],
    },
    "global blocks": {"window": 1, "global_blocks": [1], "depth": 3, "chunk": 4},
    "global blocks of another base": {
        "window": 1,
        "global_blocks": [0, 2],
        "depth": 3,
        "kind": "decoder",
        "relative_positions": "rotary",
        "rotary_frequencies": [0.7, 0.1],
        "global_rotary_base": 50.0,
    },
    "global blocks of other frequencies": {
        "window": 1,
        "global_blocks": [0],
        "relative_positions": "rotary",
        "global_rotary_base": 50.0,
        "global_rotary_frequencies": [0.6, 0.3],
    },
    "no bias of keys": {"key_bias": False, "num_kv_heads": 2},
    "one norm and scale, in parallel": {"residual": "parallel_shared", "layer_scale": 0.5},
    "cross": {"kind": "encoder-decoder", "decoder_depth": 1},
    "cross as in T5": {
        "kind": "encoder-decoder",
        "relative_positions": "t5",
        "num_buckets": 8,
        "max_distance": 8,
        "attention_scale": 1.0,
        "norm": "rms",
        "bias": False,
    },
    "cross with all norms and caps": {
        "kind": "encoder-decoder",
        "norm_position": "sandwich",
        "qk_norm": True,
        "attention_norm": True,
        "attention_softcap": 0.7,
        "qkv_bias": False,
        "share_blocks": True,
    },
    "cross, post, rotary, grouped": {
        "kind": "encoder-decoder",
        "norm_position": "post",
        "relative_positions": "rotary",
        "num_kv_heads": 2,
        "layer_scale": 0.5,
    },
}


def make(**changes):
    """A core in float64 whose parameters are all far from their usual beginnings."""
    config = TransformerConfig(**{"dim": 16, "depth": 2, "num_heads": 4, **changes})
    core = Transformer(config).double().eval()
    for tensor in [*core.parameters(), *core.buffers()]:
        if tensor.is_floating_point() and tensor.ndim:
            tensor.data = torch.randn_like(tensor) * 0.4 + 0.1
    for name, tensor in core.named_buffers():
        if name.endswith("running_var"):
            tensor.data = torch.rand_like(tensor) + 0.5
        if name.endswith("slopes"):
            tensor.data = 2.0 ** (-8 * torch.arange(1, 5).double() / 4)
    return config, core


def random_tokens(lengths, num_axes, dim=16):
    total = sum(lengths)
    positions = torch.rand(num_axes, total, dtype=torch.float64) * 9  # no whole numbers
    if num_axes == 2:
        positions[0, :2] = -1  # in a grid: class tokens
    rows = torch.randn(total, dim, dtype=torch.float64, requires_grad=True)
    return rows, Tokens.from_rows(rows, lengths, positions)


def reference(config, core, tokens, memory):
    """Sequence by sequence."""
    state = dict(core.named_parameters()) | dict(core.named_buffers())
    outs = []
    memories = [None] * tokens.num_sequences if memory is None else memory.split()
    for one, other in zip(tokens.split(), memories, strict=True):
        if one.num_tokens == 0:
            continue
        name, depth = ("encoder", config.depth)
        if config.kind == "decoder":
            name = "decoder"
        if other is not None:
            read = stack(config, state, name, depth, other.rows, other.positions, False)
            out = stack(
                config, state, "decoder", config.decoder_depth, one.rows, one.positions, True, read
            )
        else:
            causal = config.kind == "decoder"
            out = stack(config, state, name, depth, one.rows, one.positions, causal)
        outs.append(out)
    return torch.cat(outs)


@pytest.mark.parametrize("lengths", [(5, 5), (4, 0, 7, 1)], ids=["equal", "ragged"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_core_equals_the_textbook(variant, lengths):
    torch.manual_seed(0)
    config, core = make(**VARIANTS[variant])
    rows, tokens = random_tokens(lengths, config.position_axes)
    memory_rows, memory = None, None
    if config.kind == "encoder-decoder":
        memory_rows, memory = random_tokens([n // 2 + 1 for n in lengths], config.position_axes)
    inputs = [x for x in (rows, memory_rows) if x is not None] + list(core.parameters())

    found = core(tokens, memory).rows
    expected = reference(config, core, tokens, memory)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)

    weight = torch.randn_like(found)
    for mine, theirs in zip(
        torch.autograd.grad((found * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-7, atol=1e-8)
