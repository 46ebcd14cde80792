"""Blocks of published families against transformers and timm, with the same random weights."""

import pytest
import torch
from torch import nn

from unitf.core import Transformer, TransformerConfig
from unitf.core.relative_positions import BeitPositions, T5Positions
from unitf.tokens import Tokens

DIM, HEADS, HIDDEN, DEPTH = 32, 4, 48, 3
SHAPE = {"dim": DIM, "num_heads": HEADS, "hidden_dim": HIDDEN, "depth": DEPTH, "norm_eps": 1e-6}
THEIRS = {
    "hidden_size": DIM, "num_attention_heads": HEADS, "intermediate_size": HIDDEN,
    "num_hidden_layers": DEPTH, "vocab_size": 7, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2, "attn_implementation": "eager",
}  # fmt: skip
ALTERNATING = ["sliding_attention", "full_attention", "sliding_attention"]
LLAMA = {
    "attention.qkv": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    "attention.out": ["self_attn.o_proj"],
    "attention_residual.norm": ["input_layernorm"],
    "feedforward.inner": ["mlp.gate_proj", "mlp.up_proj"],
    "feedforward.out": ["mlp.down_proj"],
}
GEMMA = LLAMA | {
    "attention_residual.norm_after": ["post_attention_layernorm"],
    "feedforward_residual.norm": ["pre_feedforward_layernorm"],
    "feedforward_residual.norm_after": ["post_feedforward_layernorm"],
}


def scramble(module):
    torch.manual_seed(0)
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * 0.3
    return module.eval()


def joined(theirs, names):
    """Our parameters: those of their modules of these names, one after the other."""
    state = theirs.state_dict()
    for ours, sources in names.items():
        for kind in ("weight", "bias"):
            parts = [state[f"{source}.{kind}"] for source in sources if f"{source}.{kind}" in state]
            if parts:
                yield f"{ours}.{kind}", torch.cat(parts)


def load(theirs, stack, layers, block, outer):
    """Our parameters of a stack: those of its blocks, and the others."""
    names = {f"{stack}.{ours}": [source] for ours, source in outer.items()}
    for number in range(DEPTH):
        for ours, sources in block.items():
            mine = f"{stack}.blocks.{number}.{ours}"
            names[mine] = [f"{layers}.{number}.{source}" for source in sources]
    return dict(joined(theirs, names))


def compare(config, theirs, layers, block, outer, inputs=(9, 5)):
    """Two packed sequences are what the other model makes of each."""
    core = Transformer(config).eval()
    stack = "decoder" if config.kind == "decoder" else "encoder"
    core.load_state_dict(load(theirs, stack, layers, block, outer))
    rows = torch.randn(sum(inputs), DIM)
    found = core(Tokens.from_rows(rows, inputs)).rows
    with torch.no_grad():
        expected = [theirs(inputs_embeds=x[None])[0][0] for x in rows.split(inputs)]
    torch.testing.assert_close(found, torch.cat(expected), rtol=2e-4, atol=2e-4)


def test_gemma_2():
    from transformers import Gemma2Config, Gemma2Model

    theirs = Gemma2Config(
        **THEIRS, head_dim=12, num_key_value_heads=2, sliding_window=3, query_pre_attn_scalar=20,
        attn_logit_softcapping=0.8, layer_types=ALTERNATING,
    )  # fmt: skip
    config = TransformerConfig(
        **SHAPE, kind="decoder", head_dim=12, num_kv_heads=2, bias=False, norm="rms_offset",
        norm_position="sandwich", activation="geglu_tanh", relative_positions="rotary", window=2,
        global_blocks=[1], attention_scale=20**-0.5, attention_softcap=0.8,
    )  # fmt: skip
    compare(config, scramble(Gemma2Model(theirs)), "layers", GEMMA, {"final_norm": "norm"})


def test_gemma_3():
    from transformers import Gemma3TextConfig, Gemma3TextModel

    theirs = Gemma3TextConfig(
        **THEIRS, head_dim=12, num_key_value_heads=2, sliding_window=3, query_pre_attn_scalar=20,
        layer_types=ALTERNATING,
        rope_parameters={
            "full_attention": {"rope_type": "linear", "rope_theta": 1e5, "factor": 8.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e3},
        },
    )  # fmt: skip
    config = TransformerConfig(
        **SHAPE, kind="decoder", head_dim=12, num_kv_heads=2, bias=False, norm="rms_offset",
        norm_position="sandwich", activation="geglu_tanh", relative_positions="rotary", window=2,
        qk_norm=True, global_blocks=[1], attention_scale=20**-0.5, rotary_base=1e3,
        global_rotary_frequencies=[1e5 ** (-i / 6) / 8 for i in range(6)],
    )  # fmt: skip
    block = GEMMA | {
        "attention.head_norms.query": ["self_attn.q_norm"],
        "attention.head_norms.key": ["self_attn.k_norm"],
    }
    compare(config, scramble(Gemma3TextModel(theirs)), "layers", block, {"final_norm": "norm"})


def test_modern_bert():
    from transformers import ModernBertConfig, ModernBertModel

    theirs = ModernBertConfig(
        **THEIRS, cls_token_id=1, sep_token_id=2, local_attention=4, norm_eps=1e-6,
        layer_types=["full_attention", "sliding_attention", "sliding_attention"],
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 1e5},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e3},
        },
    )  # fmt: skip
    config = TransformerConfig(
        **SHAPE, bias=False, activation="geglu", relative_positions="rotary", window=2,
        input_norm=True, first_norm=False, global_blocks=[0], rotary_base=1e3,
        global_rotary_base=1e5,
    )  # fmt: skip
    block = {
        "attention.qkv": ["attn.Wqkv"],
        "attention.out": ["attn.Wo"],
        "attention_residual.norm": ["attn_norm"],
        "feedforward_residual.norm": ["mlp_norm"],
        "feedforward.inner": ["mlp.Wi"],
        "feedforward.out": ["mlp.Wo"],
    }
    outer = {"input_norm": "embeddings.norm", "final_norm": "final_norm"}
    compare(config, scramble(ModernBertModel(theirs)), "layers", block, outer)


def test_phi():
    from transformers import PhiConfig, PhiModel

    rope = {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.5}
    theirs = PhiConfig(**THEIRS, layer_norm_eps=1e-6, rope_parameters=rope)
    config = TransformerConfig(
        **SHAPE, kind="decoder", residual="parallel_shared", activation="gelu_tanh",
        relative_positions="rotary", rotary_dim=4, rotary_base=100.0,
    )  # fmt: skip
    block = LLAMA | {
        "attention.out": ["self_attn.dense"],
        "feedforward.inner": ["mlp.fc1"],
        "feedforward.out": ["mlp.fc2"],
    }
    compare(config, scramble(PhiModel(theirs)), "layers", block, {"final_norm": "final_layernorm"})


def test_gpt_neox():
    from transformers import GPTNeoXConfig, GPTNeoXModel

    rope = {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.25}
    theirs = scramble(GPTNeoXModel(GPTNeoXConfig(**THEIRS, layer_norm_eps=1e-6,
                                                 rope_parameters=rope)))  # fmt: skip
    config = TransformerConfig(
        **SHAPE, kind="decoder", residual="parallel", relative_positions="rotary", rotary_dim=2,
        rotary_base=100.0,
    )  # fmt: skip
    block = {
        "attention.qkv": ["attention.query_key_value"],
        "attention.out": ["attention.dense"],
        "attention_residual.norm": ["input_layernorm"],
        "feedforward_residual.norm": ["post_attention_layernorm"],
        "feedforward.inner": ["mlp.dense_h_to_4h"],
        "feedforward.out": ["mlp.dense_4h_to_h"],
    }
    outer = {"final_norm": "final_layer_norm"}
    core = Transformer(config).eval()
    state = load(theirs, "decoder", "layers", block, outer)
    for name, x in state.items():
        if ".qkv." in name:  # theirs: of each head queries, keys, values
            apart = x.unflatten(0, (HEADS, 3, DIM // HEADS)).transpose(0, 1)
            state[name] = apart.flatten(0, 2)
    core.load_state_dict(state)
    rows = torch.randn(9, DIM)
    with torch.no_grad():
        expected = theirs(inputs_embeds=rows[None])[0][0]
    torch.testing.assert_close(core(Tokens.from_rows(rows)).rows, expected, rtol=2e-4, atol=2e-4)


def test_t5():
    from transformers import T5Config, T5Model

    theirs = T5Config(
        vocab_size=7, d_model=DIM, d_kv=6, d_ff=HIDDEN, num_layers=DEPTH, num_decoder_layers=DEPTH,
        num_heads=HEADS, relative_attention_num_buckets=8, relative_attention_max_distance=12,
        feed_forward_proj="gated-gelu", decoder_start_token_id=0,
    )  # fmt: skip
    config = TransformerConfig(
        **SHAPE, kind="encoder-decoder", head_dim=6, bias=False, norm="rms",
        activation="geglu_tanh", relative_positions="t5", num_buckets=8, max_distance=12,
        attention_scale=1.0,
    )  # fmt: skip
    theirs, core = scramble(T5Model(theirs)), Transformer(config).eval()

    def block(feedforward):
        last = f"layer.{feedforward}"
        return {
            "attention.qkv": [f"layer.0.SelfAttention.{kind}" for kind in "qkv"],
            "attention.out": ["layer.0.SelfAttention.o"],
            "attention_residual.norm": ["layer.0.layer_norm"],
            "feedforward_residual.norm": [f"{last}.layer_norm"],
            "feedforward.inner": [f"{last}.DenseReluDense.wi_{n}" for n in (0, 1)],
            "feedforward.out": [f"{last}.DenseReluDense.wo"],
        }

    cross = {
        "cross.query": ["layer.1.EncDecAttention.q"],
        "cross.kv": ["layer.1.EncDecAttention.k", "layer.1.EncDecAttention.v"],
        "cross.out": ["layer.1.EncDecAttention.o"],
        "cross_residual.norm": ["layer.1.layer_norm"],
    }
    state = {}
    for stack, names in (("encoder", block(1)), ("decoder", block(2) | cross)):
        table = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias"
        outer = {"positions.table": table, "final_norm": f"{stack}.final_layer_norm"}
        state |= load(theirs, stack, f"{stack}.block", names, outer)
    core.load_state_dict(state)
    rows, memory = torch.randn(11, DIM), torch.randn(17, DIM)
    with torch.no_grad():
        expected = theirs(inputs_embeds=memory[None], decoder_inputs_embeds=rows[None])[0][0]
    found = core(Tokens.from_rows(rows), Tokens.from_rows(memory)).rows
    torch.testing.assert_close(found, expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("buckets, distance", [(32, 128), (32, 200), (8, 20), (10, 30)])
@pytest.mark.parametrize("causal", [False, True])
def test_buckets_are_those_of_t5(causal, buckets, distance):
    from transformers.models.t5.modeling_t5 import T5Attention

    config = TransformerConfig(relative_positions="t5", num_buckets=buckets, max_distance=distance)
    ahead = torch.arange(-400, 401)
    expected = T5Attention._relative_position_bucket(ahead, not causal, buckets, distance)
    assert torch.equal(T5Positions(config, causal).bucket(ahead.float()), expected)


def test_a_grid_is_that_of_beit():
    from timm.models.beit import gen_relative_position_index

    config = TransformerConfig(dim=8, num_heads=2, relative_positions="beit", grid=[3, 4])
    scheme = BeitPositions(config)
    rows, columns = torch.meshgrid(torch.arange(3.0), torch.arange(4.0), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()])
    places = torch.cat([torch.tensor([[-1.0], [0.0]]), places], dim=1)
    expected = scheme.table.weight[gen_relative_position_index((3, 4))].permute(2, 0, 1)
    torch.testing.assert_close(scheme(places, places), expected)


TIMM = {
    "attention.qkv": ["attn.qkv"],
    "attention.out": ["attn.proj"],
    "attention_residual.norm": ["norm1"],
    "feedforward_residual.norm": ["norm2"],
    "feedforward.inner": ["mlp.fc1"],
    "feedforward.out": ["mlp.fc2"],
}


def compare_block(theirs, names, extra=None, places=None, **changes):
    config = TransformerConfig(**SHAPE | {"depth": 1, "final_norm": False} | changes)
    core, theirs = Transformer(config).eval(), scramble(theirs)
    names = {f"encoder.blocks.0.{ours}": sources for ours, sources in names.items()}
    state = dict(joined(theirs, names))
    for ours, source in (extra or {}).items():
        state[ours] = theirs.get_parameter(source)
    core.load_state_dict(state)
    batch = torch.randn(3, 13, DIM)
    tokens = Tokens.from_rows(batch.flatten(0, 1), [13] * 3, places)
    expected = theirs(batch).flatten(0, 1)
    torch.testing.assert_close(core(tokens).rows, expected, rtol=1e-4, atol=1e-4)


def norm(width, **kwargs):
    return nn.LayerNorm(width, eps=1e-6, **kwargs)


def test_eva_02():
    from timm.models.eva import EvaBlock

    theirs = EvaBlock(
        DIM, HEADS, qkv_bias=False, mlp_ratio=HIDDEN / DIM, swiglu_mlp=True, scale_mlp=True,
        scale_attn_inner=True, qk_norm=True, norm_layer=norm,
    )  # fmt: skip
    names = TIMM | {
        "attention.norm": ["attn.norm"],
        "attention.head_norms.query": ["attn.q_norm"],
        "attention.head_norms.key": ["attn.k_norm"],
        "feedforward.inner": ["mlp.fc1_g", "mlp.fc1_x"],
        "feedforward.norm": ["mlp.norm"],
    }
    compare_block(
        theirs, names, qkv_bias=False, attention_norm=True, hidden_norm=True, qk_norm=True,
        activation="swiglu",
    )  # fmt: skip


def test_eva_giant():
    from timm.models.eva import EvaBlockPostNorm

    theirs = EvaBlockPostNorm(
        DIM, HEADS, qkv_bias=False, mlp_ratio=HIDDEN / DIM, scale_attn_inner=False, norm_layer=norm
    )
    compare_block(theirs, TIMM, qkv_bias=False, norm_position="res_post")


def test_beit():
    from timm.models.beit import Block

    theirs = Block(
        DIM, HEADS, mlp_ratio=HIDDEN / DIM, init_values=0.1, window_size=(3, 4), norm_layer=norm
    )
    places = torch.stack([torch.arange(12) // 4, torch.arange(12) % 4]).float()
    places = torch.cat([torch.full((2, 1), -1.0), places], dim=1)
    extra = {
        "encoder.own_positions.0.table.weight": "attn.relative_position_bias_table",
        "encoder.blocks.0.attention_residual.scale": "gamma_1",
        "encoder.blocks.0.feedforward_residual.scale": "gamma_2",
    }
    compare_block(
        theirs, TIMM, extra, places.repeat(1, 3), qkv_bias=False, relative_positions="beit",
        grid=[3, 4], layer_scale=0.1,
    )  # fmt: skip


def test_quick_gelu_is_that_of_clip():
    from transformers.activations import ACT2FN

    from unitf.core.feedforward import make_feedforward

    config = TransformerConfig(dim=8, num_heads=1, activation="quick_gelu")
    x = torch.randn(100)
    torch.testing.assert_close(make_feedforward(config).activation(x), ACT2FN["quick_gelu"](x))
