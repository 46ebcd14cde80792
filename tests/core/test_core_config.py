"""TransformerConfig: published sizes, what follows from what, and mistakes in one line."""

import inspect
import re
import runpy
from dataclasses import asdict

import pytest
import torch
from jsonargparse import ArgumentParser

from unitf.core import Transformer, TransformerConfig
from unitf.errors import UserError


@pytest.mark.parametrize(
    "size, dim, depth, heads, millions",
    # parameters of the blocks and the last norm: ViT's and DeiT's less embeddings and head
    [("tiny", 192, 12, 3, 5.34), ("small", 384, 12, 6, 21.3), ("base", 768, 12, 12, 85.1),
     ("large", 1024, 24, 16, 302.3)],
)  # fmt: skip
def test_presets_are_the_published_sizes(size, dim, depth, heads, millions):
    config = TransformerConfig.preset(size)
    assert (config.dim, config.depth, config.num_heads) == (dim, depth, heads)
    assert config.hidden_dim == 4 * dim
    assert TransformerConfig(size=size) == config
    with torch.device("meta"):
        core = Transformer(config)
    assert sum(p.numel() for p in core.parameters()) / 1e6 == pytest.approx(millions, rel=2e-3)


def test_overrides_and_what_follows():
    config = TransformerConfig.preset("small", depth=4, activation="swiglu", num_kv_heads=2)
    assert (config.dim, config.depth, config.hidden_dim) == (384, 4, 1024)
    assert config.decoder_depth == 4
    assert TransformerConfig(dropout=0.2).activation_dropout == 0.2
    assert TransformerConfig(dim=128).num_heads == 2  # heads of 64, as all published sizes
    assert TransformerConfig(dim=32).num_heads == 1
    assert TransformerConfig(dim=30, num_heads=4, head_dim=8).head_dim == 8
    assert TransformerConfig(**asdict(config)) == config


@pytest.mark.parametrize(
    "values, message",
    [
        ({"dim": 10, "num_heads": 3}, "dim 10 cannot be divided among num_heads 3"),
        ({"num_heads": 3, "num_kv_heads": 2}, "num_heads 3 cannot share num_kv_heads 2"),
        ({"num_heads": 0}, "num_heads must be at least 1"),
        ({"dim": 0}, "dim must be at least 1, found 0"),
        ({"depth": -1}, "depth must be at least 1, found -1"),
        ({"dropout": 1.0}, "dropout must be at least 0 and less than 1, found 1.0"),
        ({"input_dropout": -0.1}, "input_dropout must be at least 0"),
        ({"activation_dropout": 1.5}, "activation_dropout must be at least 0 .* 1, found 1.5"),
        ({"drop_path": -0.1}, "drop_path must be at least 0"),
        ({"window": -1}, "window must be at least 0"),
        ({"chunk": 0}, "chunk must be at least 1"),
        ({"norm": "batch", "gradient_checkpointing": True}, "computes blocks twice"),
        ({"norm_eps": 0.0}, "norm_eps must be above 0"),
        ({"dim": 10, "num_heads": 2, "relative_positions": "rotary"}, "head_dim 5 must be even"),
        ({"dim": 8, "num_heads": 2, "relative_positions": "rotary", "position_axes": 3}, "a pair"),
        ({"attention_scale": 0.0}, "attention_scale must be above 0, found 0.0"),
        ({"attention_softcap": -1.0}, "attention_softcap must be above 0, found -1.0"),
        ({"norm": "batch", "qk_norm": True}, "qk_norm .* norm 'batch' cannot be"),
        ({"first_norm": False, "norm_position": "sandwich"}, "'pre', found 'sandwich'"),
        ({"first_norm": False, "share_blocks": True}, "only the first block's attention reads"),
        ({"residual": "parallel", "norm_position": "post"}, "'parallel' needs norm_position 'pre'"),
        ({"residual": "parallel", "kind": "encoder-decoder"}, "no place for .* a memory"),
        ({"relative_positions": "t5", "num_buckets": 7}, "num_buckets must be even .* found 7"),
        ({"relative_positions": "t5", "max_distance": 16}, "max_distance must be above half .* 16"),
        ({"relative_positions": "beit"}, "belongs to relative_positions 'beit', found grid None"),
        ({"grid": [2, 2]}, "found grid .2, 2. with relative_positions 'none'"),
        ({"relative_positions": "beit", "grid": [2]}, "rows and one of columns, found .2."),
        ({"rotary_dim": 4}, "rotary_dim belongs to relative_positions 'rotary', found 'none'"),
        ({"relative_positions": "rotary", "rotary_dim": 5}, "rotary_dim 5 must be even"),
        ({"relative_positions": "rotary", "rotary_dim": 66}, "66 must be at most head_dim 64"),
        ({"relative_positions": "rotary", "rotary_frequencies": [1.0]}, "32 numbers, .* found 1"),
        ({"relative_positions": "rotary", "global_rotary_base": 5.0}, "base needs global_blo"),
        ({"global_blocks": [0]}, "global_blocks needs a window or a chunk"),
        ({"global_blocks": [12], "window": 2}, "numbers from 0 to 11, found 12"),
        ({"dim": 10, "num_heads": 2, "relative_positions": "rope_mixed"}, "head_dim 5 must be"),
        ({"num_kv_heads": 1, "relative_positions": "rope_mixed"}, "must be num_heads 3, found 1"),
    ],
)  # fmt: skip
def test_impossible_values_are_one_clear_line(values, message):
    with pytest.raises(UserError, match=message) as caught:
        TransformerConfig(**values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"activation": "gleu"}, "activation: unknown 'gleu'; did you mean 'gelu'?"),
        ({"norm": "layernorm"}, "norm: unknown 'layernorm'; did you mean 'layer'?"),
        ({"kind": "encoderdecoder"}, "did you mean 'encoder-decoder'? known are encoder, decoder"),
        ({"size": "huge"}, "size: unknown 'huge'; known are tiny, small, base, large"),
        ({"relative_positions": "sinusoidal"}, "known are none, rotary, alibi"),
    ],
)
def test_an_unknown_name_lists_the_known_ones(values, message):
    # as users have it: the shape checks of the tests would object to the type first
    plain_config = runpy.run_path(inspect.getfile(TransformerConfig))["TransformerConfig"]
    with pytest.raises(UserError, match=re.escape(message)):
        plain_config(**values)


def test_a_misspelt_override_has_a_near_name():
    with pytest.raises(UserError, match="unknown 'num_head'; did you mean 'num_heads'"):
        TransformerConfig.preset("tiny", num_head=3)
    with pytest.raises(UserError, match="unknown 'tinny'; did you mean 'tiny'"):
        TransformerConfig.preset("tinny")


def test_biases_and_the_final_norm_follow():
    config = TransformerConfig(bias=False, norm_bias=True)
    assert (config.qkv_bias, config.attention_out_bias, config.norm_bias) == (False, False, True)
    assert config.final_norm
    assert not TransformerConfig(norm_position="post").final_norm
    assert TransformerConfig(norm_position="post", final_norm=True).final_norm


def test_how_global_blocks_attend():
    config = TransformerConfig(
        relative_positions="rotary",
        window=4,
        chunk=9,
        rotary_dim=4,
        rotary_frequencies=[0.5, 0.25],
        global_blocks=[1],
        global_rotary_base=500.0,
    )
    other = config.of_global_blocks
    assert (other.window, other.chunk, other.rotary_frequencies) == (None, None, None)
    assert (other.rotary_base, other.rotary_dim) == (500.0, 4)
    assert TransformerConfig(window=4, global_blocks=[1]).of_global_blocks == TransformerConfig()


def make_parser():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(Transformer, "core")
    return parser


def test_jsonargparse_builds_a_core_from_yaml(tmp_path):
    path = tmp_path / "core.yaml"
    path.write_text(
        "core: {config: {size: small, depth: 2, window: 8, drop_path: 0.1, global_blocks: [1],"
        " relative_positions: rotary, rotary_dim: 4, rotary_frequencies: [1, 0.5],"
        " qkv_bias: false}}\n"
    )
    parser = make_parser()
    parsed = parser.parse_args(["--config", str(path), "--core.config.num_kv_heads", "3"])
    core = parser.instantiate(parsed).core
    wanted = TransformerConfig.preset(
        "small",
        depth=2,
        window=8,
        drop_path=0.1,
        num_kv_heads=3,
        global_blocks=[1],
        relative_positions="rotary",
        rotary_dim=4,
        rotary_frequencies=[1.0, 0.5],
        qkv_bias=False,
    )
    assert core.config == wanted
    again = make_parser().parse_string(parser.dump(parsed))
    assert parser.instantiate(again).core.config == wanted
