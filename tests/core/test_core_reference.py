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
    "rotary": {"positions": "rotary", "kind": "decoder"},
    "rotary on two axes": {"positions": "rotary", "position_axes": 2},
    "rotary on three axes": {"positions": "rotary", "position_axes": 3, "head_dim": 8},
    "mixed, on two axes": {"positions": "mixed", "position_axes": 2},
    "mixed, causal": {"positions": "mixed", "kind": "decoder"},
    "alibi": {"positions": "alibi"},
    "alibi, causal, window, grouped": {
        "positions": "alibi",
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
    "no bias of keys": {"key_bias": False, "num_kv_heads": 2},
    "one norm and scale, in parallel": {"residual": "parallel_shared", "layer_scale": 0.5},
    "cross": {"kind": "encoder-decoder", "decoder_depth": 1},
    "cross, post, rotary, grouped": {
        "kind": "encoder-decoder",
        "norm_position": "post",
        "positions": "rotary",
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
