"""Attention rows, recomputed from queries and keys: those of the textbook, and no other output."""

import pytest
import torch
from core_reference import stack
from test_core_reference import VARIANTS, make, random_tokens

from unitf.core import Transformer, TransformerConfig
from unitf.core.recorder import recording_attention, rollout, rollout_across
from unitf.tokens import Tokens

LENGTHS = (5, 0, 7, 1)


def given(config):
    _, tokens = random_tokens(LENGTHS, config.position_axes)
    if config.kind != "encoder-decoder":
        return tokens, None
    return tokens, random_tokens([n // 2 + 1 for n in LENGTHS], config.position_axes)[1]


def textbook(config, core, one, other):
    """The weights (H, Lq, Lk) of each layer of each stack, of one sequence."""
    state = dict(core.named_parameters()) | dict(core.named_buffers())
    causal = config.kind == "decoder"
    first, name = {"self": [], "cross": []}, "decoder" if causal else "encoder"
    source = one if other is None else other
    read = stack(
        config, state, name, config.depth, source.rows, source.positions, causal, looks=first
    )
    if other is None:
        return [first]
    second = {"self": [], "cross": []}
    depth, x = config.decoder_depth, (one.rows, one.positions)
    stack(config, state, "decoder", depth, *x, True, read, looks=second)
    return [first, second]


@pytest.mark.parametrize("lengths", ["ragged", "alone"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_rows_are_those_of_the_textbook_and_sum_to_one(variant, lengths):
    torch.manual_seed(0)
    config, core = make(**VARIANTS[variant])
    tokens, memory = given(config)
    if lengths == "alone":
        tokens, memory = (x if x is None else x.split()[2] for x in (tokens, memory))
    with torch.no_grad(), recording_attention(core) as recorders:
        core(tokens, memory)
        memories = [None] * tokens.num_sequences if memory is None else memory.split()
        for number, pair in enumerate(zip(tokens.split(), memories, strict=True)):
            if pair[0].num_tokens == 0:
                continue
            for recorder, looks in zip(recorders, textbook(config, core, *pair), strict=True):
                for kind, layers in looks.items():
                    for layer, expected in enumerate(layers):
                        rows = recorder.rows(layer, number, kind)
                        torch.testing.assert_close(rows, expected, rtol=0, atol=1e-5)
                        torch.testing.assert_close(rows.sum(-1), torch.ones_like(rows[..., 0]))


@pytest.mark.parametrize("positions", ["none", "alibi", "t5"])
def test_a_prefix_is_seen_by_itself_and_by_what_follows(positions):
    torch.manual_seed(0)
    config, core = make(kind="decoder", relative_positions=positions, depth=1)
    tokens, _ = given(config)
    prefix = (3, 0, 4, 1)
    with torch.no_grad(), recording_attention(core) as (recorder,):
        out = core(tokens, prefix=prefix)
        rows = recorder.rows(0, 2)
        seen = rows[0] > 0
    expected = torch.ones(7, 7, dtype=torch.bool).tril()
    expected[:4, :4] = True
    assert torch.equal(seen, expected)
    torch.testing.assert_close(rows.sum(-1), torch.ones_like(rows[..., 0]))
    with torch.no_grad():
        assert torch.equal(out.matrix, core(tokens, prefix=prefix).matrix)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["encoder", "decoder", "encoder-decoder"])
def test_who_is_watched_computes_the_same_bit_for_bit(kind, dtype):
    torch.manual_seed(0)
    config = TransformerConfig(
        dim=32, depth=2, num_heads=4, kind=kind, relative_positions="alibi", window=4
    )
    core = Transformer(config).to(dtype).eval()
    tokens, memory = (
        Tokens.from_rows(torch.randn(sum(lengths), 32, dtype=dtype), lengths)
        for lengths in ((9, 3, 40), (4, 30, 6))
    )
    memory = memory if kind == "encoder-decoder" else None
    plain = core(tokens, memory).matrix
    with recording_attention(core):
        assert torch.equal(core(tokens, memory).matrix, plain)
    assert all(stack.recorder is None for stack in core.stacks)


def test_only_the_chosen_layers_are_kept_and_the_last_pass_counts():
    config, core = make(depth=3)
    (_, first), (_, second) = random_tokens((4,), 1), random_tokens((6,), 1)
    with torch.no_grad(), recording_attention(core, layers=[1]) as (recorder,):
        core(first)
        core(second)
        assert recorder.rows(1).shape == (config.num_heads, 6, 6)
        with pytest.raises(KeyError):
            recorder.rows(0)


def test_rollout_of_layers_that_look_at_one_token_is_known():
    last = torch.zeros(2, 3, 3).index_fill(2, torch.tensor([2]), 1.0)  # all look at the last token
    expected = torch.tensor([[0.25, 0, 0.75], [0, 0.25, 0.75], [0, 0, 1]])
    torch.testing.assert_close(rollout([last, last]), expected)
    nothing = torch.eye(3)[None]
    torch.testing.assert_close(rollout([nothing] * 4), torch.eye(3))


def test_rollout_across_a_memory_follows_what_its_encoder_mixed():
    own, across = torch.eye(2)[None], torch.tensor([[[1.0, 0, 0], [0, 0.5, 0.5]]])
    torch.testing.assert_close(rollout_across([own], [across], torch.eye(3)), across[0])
    memory = torch.tensor([[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1]])
    expected = torch.tensor([[0.5, 0.5, 0], [0, 0.5, 0.5]])
    torch.testing.assert_close(rollout_across([own] * 2, [across] * 2, memory), expected)
    torch.manual_seed(0)
    some = [torch.rand(2, 4, 4).softmax(-1) for _ in range(3)]
    cross = [torch.rand(2, 4, 5).softmax(-1) for _ in range(3)]
    rows = rollout_across(some, cross, torch.rand(5, 5).softmax(-1))
    torch.testing.assert_close(rows.sum(-1), torch.ones(4))
