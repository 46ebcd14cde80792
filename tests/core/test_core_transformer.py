"""What holds for every core: packing, causality, equivariance, empty batches, randomness."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unitf.core import Transformer, TransformerConfig
from unitf.errors import UserError
from unitf.nn.reference_mode import reference_mode
from unitf.tokens import Tokens

KINDS = {
    "encoder": {},
    "decoder": {"kind": "decoder", "relative_positions": "rotary"},
    "modern": {
        "kind": "decoder",
        "norm": "rms",
        "activation": "swiglu",
        "num_kv_heads": 1,
        "bias": False,
    },
    "post": {"norm_position": "post", "relative_positions": "alibi", "layer_scale": 0.1},
    "batch": {"norm": "batch", "input_norm": True},
    "window": {"window": 2, "relative_positions": "rotary", "position_axes": 2},
    "chunk": {"chunk": 3, "relative_positions": "alibi"},
    "encoder-decoder": {"kind": "encoder-decoder", "relative_positions": "rotary"},
    "t5": {
        "kind": "encoder-decoder",
        "relative_positions": "t5",
        "num_buckets": 8,
        "attention_scale": 1.0,
        "norm": "rms",
    },
    "gemma": {
        "kind": "decoder",
        "norm": "rms_offset",
        "norm_position": "sandwich",
        "activation": "geglu_tanh",
        "qk_norm": True,
        "attention_softcap": 2.0,
        "relative_positions": "rotary",
        "window": 2,
        "global_blocks": [1],
        "global_rotary_base": 100.0,
    },
    "beit": {
        "relative_positions": "beit",
        "grid": [5, 5],
        "norm_position": "res_post",
        "attention_norm": True,
        "hidden_norm": True,
    },
    "parallel": {"residual": "parallel", "relative_positions": "rotary", "rotary_dim": 4},
    "parallel, one norm": {"residual": "parallel_shared", "kind": "decoder", "final_norm": False},
    "shared": {"share_blocks": True, "relative_positions": "beit", "grid": [3, 3]},
    "no first norm": {"first_norm": False, "norm_bias": False},
}
TWO_STACKS = ("encoder-decoder", "t5")
TWO_AXES = ("window", "beit", "shared")


def make(dtype=torch.float64, **changes):
    torch.manual_seed(0)
    core = Transformer(TransformerConfig(**{"dim": 16, "depth": 2, "num_heads": 2, **changes}))
    for parameter in core.parameters():  # away from zero biases and unit scales
        parameter.data += 0.2 * torch.randn_like(parameter)
    return core.to(dtype)


def make_tokens(lengths, dtype=torch.float64, axes=1):
    total = sum(lengths)
    positions = torch.rand(axes, total, dtype=dtype) * 5
    if axes == 2:
        positions[0, ::3] = -1  # in a grid: class tokens
    return Tokens.from_rows(torch.randn(total, 16, dtype=dtype), lengths, positions)


def memory_for(core, tokens):
    if core.config.kind != "encoder-decoder":
        return None
    return make_tokens([n % 3 + 1 for n in tokens.lengths], tokens.matrix.dtype)


def gradients(core, out, weight):
    return torch.autograd.grad((out * weight).sum(), list(core.parameters()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_batch_equals_its_sequences_one_at_a_time(kind):
    core = make(**KINDS[kind]).eval()
    tokens = make_tokens([4, 0, 7, 1, 7], axes=2 if kind in TWO_AXES else 1)
    memory = memory_for(core, tokens)
    memories = [None] * 5 if memory is None else memory.split()
    packed = core(tokens, memory).rows
    alone = torch.cat(
        [core(one, other).rows for one, other in zip(tokens.split(), memories, strict=True)]
    )
    torch.testing.assert_close(packed, alone, rtol=1e-10, atol=1e-10)
    weight = torch.randn_like(packed)
    for mine, theirs in zip(
        gradients(core, packed, weight), gradients(core, alone, weight), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(0, 9), max_size=6), kind=st.sampled_from(list(KINDS)))
def test_any_lengths_pack(lengths, kind):
    core = make(**KINDS[kind]).eval()
    tokens = make_tokens(lengths)
    memory = memory_for(core, tokens)
    out = core(tokens, memory)
    assert out.lengths == tuple(lengths)
    assert out.matrix.shape == tokens.matrix.shape
    memories = [None] * len(lengths) if memory is None else memory.split()
    for one, other, packed in zip(tokens.split(), memories, out.split(), strict=True):
        torch.testing.assert_close(core(one, other).matrix, packed.matrix, rtol=1e-9, atol=1e-9)


def test_columns_commute_with_permutation_without_positions():
    core = make().eval()
    tokens = make_tokens([9])
    order = torch.randperm(9)
    permuted = Tokens.from_rows(tokens.rows[order])
    torch.testing.assert_close(core(permuted).rows, core(tokens).rows[order])


@pytest.mark.parametrize("positions", ["rotary", "alibi"])
def test_relative_positions_see_order_but_not_where_it_begins(positions):
    core = make(relative_positions=positions).eval()
    rows = torch.randn(6, 16, dtype=torch.float64)
    places = torch.arange(6, dtype=torch.float64)[None]
    out = core(Tokens.from_rows(rows, positions=places)).rows
    shifted = core(Tokens.from_rows(rows, positions=places + 13)).rows
    spread = core(Tokens.from_rows(rows, positions=places * 2)).rows
    torch.testing.assert_close(out, shifted)
    assert (out - spread).abs().max() > 1e-3


def test_rotary_takes_fewer_axes_than_configured_but_not_more():
    core = make(relative_positions="rotary", position_axes=2).eval()
    rows = torch.randn(5, 16, dtype=torch.float64)
    line = torch.arange(5, dtype=torch.float64)[None]
    on_line = core(Tokens.from_rows(rows, positions=line)).rows
    on_plane = core(Tokens.from_rows(rows, positions=torch.cat([line, line * 0]))).rows
    torch.testing.assert_close(on_line, on_plane)
    with pytest.raises(UserError, match=r"3 position axes, but .* position_axes 2"):
        core(Tokens.from_rows(rows, positions=line.repeat(3, 1)))


@pytest.mark.parametrize("kind", ["decoder", "modern", "encoder-decoder"])
@pytest.mark.parametrize("lengths", [(6, 6), (6, 3)], ids=["equal", "ragged"])
def test_a_later_token_changes_nothing_earlier(kind, lengths):
    core = make(**KINDS[kind]).eval()
    tokens = make_tokens(lengths)
    memory = memory_for(core, tokens)
    changed = tokens.rows.clone()
    changed[4] += 1
    before, after = core(tokens, memory).rows, core(tokens.with_rows(changed), memory).rows
    same = (before == after).all(1).tolist()
    assert same == [True] * 4 + [False] * 2 + [True] * lengths[1]


def test_causal_can_be_asked_for_and_refused():
    encoder, decoder = make().eval(), make(kind="decoder").eval()
    decoder.load_state_dict(
        {name.replace("encoder", "decoder"): x for name, x in encoder.state_dict().items()}
    )
    tokens = make_tokens([5, 8])
    assert torch.equal(encoder(tokens, causal=True).matrix, decoder(tokens).matrix)
    assert torch.equal(encoder(tokens).matrix, decoder(tokens, causal=False).matrix)
    assert not torch.allclose(encoder(tokens).matrix, decoder(tokens).matrix)


def test_a_window_sees_as_far_as_it_says_and_a_chunk_only_itself():
    def reach(**changes):
        """From which tokens the 5th of 9 reads, in one block."""
        core, tokens = make(**{"depth": 1, **changes}).eval(), make_tokens([9])
        rows = tokens.rows.clone().requires_grad_()
        core(tokens.with_rows(rows)).rows[4].sum().backward()
        return (rows.grad.abs().sum(1) > 0).nonzero()[:, 0].tolist()

    assert reach() == list(range(9))
    assert reach(window=2) == [2, 3, 4, 5, 6]
    assert reach(window=2, kind="decoder") == [2, 3, 4]
    assert reach(window=0) == [4]
    assert reach(chunk=3) == [3, 4, 5]
    assert reach(chunk=3, kind="decoder") == [3, 4]
    assert reach(chunk=3, window=1, global_blocks=[0]) == list(range(9))
    assert reach(window=1, global_blocks=[1], depth=2) == list(range(9))
    assert reach(window=1, global_blocks=[], depth=2) == [2, 3, 4, 5, 6]


def test_batch_norm_counts_real_tokens_only():
    core = make(norm="batch", depth=1).train()
    tokens = make_tokens([3, 9, 0, 1])
    norm = core.encoder.blocks[0].attention_residual.norm
    core(tokens)
    torch.testing.assert_close(norm.running_mean, 0.1 * tokens.rows.mean(0))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * tokens.rows.var(0))


def test_batch_norm_of_one_token_uses_what_it_learned():
    core = make(norm="batch").train()
    before = copy.deepcopy(core.state_dict())
    out = core(make_tokens([1]))
    assert out.rows.isfinite().all()
    assert all(torch.equal(x, before[name]) for name, x in core.state_dict().items())


@pytest.mark.parametrize("lengths", [(), (0,), (0, 0)])
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_batch_reaches_every_parameter(kind, autocast, lengths):
    core = make(torch.float32, **KINDS[kind], drop_path=0.1, dropout=0.1, attention_dropout=0.1)
    tokens = make_tokens(lengths, torch.float32)
    memory = make_tokens(lengths, torch.float32) if kind in TWO_STACKS else None
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        core(tokens, memory).matrix.sum().backward()
    for name, parameter in core.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad == 0).all(), name


def test_an_empty_memory_reaches_every_parameter():
    core = make(**KINDS["encoder-decoder"])
    core(make_tokens([3, 2]), make_tokens([0, 0])).matrix.sum().backward()
    assert all(parameter.grad is not None for parameter in core.parameters())
    assert all(parameter.grad.isfinite().all() for parameter in core.parameters())


@pytest.mark.parametrize("lengths", [(6, 6), (6, 0, 3)], ids=["equal", "ragged"])
@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_autocast_is_close_and_trains(kind, lengths):
    core = make(torch.float32, **KINDS[kind]).eval()
    tokens = make_tokens(lengths, torch.float32)
    memory = memory_for(core, tokens)
    expected = core(tokens, memory).rows
    with torch.autocast("cpu", torch.bfloat16):
        found = core(tokens, memory).rows
    assert found.dtype == torch.float32
    assert (found - expected).norm() < 0.03 * expected.norm()
    weight = torch.randn_like(expected)
    for mine, theirs in zip(
        gradients(core, found, weight), gradients(core, expected, weight), strict=True
    ):
        assert mine.dtype == torch.float32
        assert (mine - theirs).norm() <= 0.15 * theirs.norm() + 1e-3


def test_drop_path_skips_whole_sequences_and_keeps_the_mean():
    core = make(depth=2, drop_path=0.5).train()
    assert core.encoder.drop_path == [0.0, 0.5]
    tokens = make_tokens([3] * 4000)
    keep = core.encoder._keep(tokens, 0.5)[..., 0]
    per_sequence = keep.view(3, 4000, 3)
    assert (per_sequence == per_sequence[..., :1]).all()
    assert set(keep.unique().tolist()) == {0.0, 2.0}
    assert abs(keep.mean().item() - 1) < 0.05
    assert not torch.equal(keep[0], keep[2])


ALL = 1 - 1e-12  # a share that leaves nothing


@pytest.mark.parametrize("kind", ["encoder", "encoder-decoder"])
def test_input_dropout_is_of_the_tokens_before_the_first_block(kind):
    core = make(**KINDS[kind], input_dropout=ALL)
    tokens = make_tokens([4, 6])
    nothing = tokens.with_rows(torch.zeros_like(tokens.rows))
    memory = memory_for(core, tokens)
    without = None if memory is None else memory.with_rows(torch.zeros_like(memory.rows))
    with reference_mode():
        found = core.train()(tokens, memory).rows
    torch.testing.assert_close(found, core.eval()(nothing, without).rows)


def test_input_dropout_is_off_where_the_first_block_is_frozen():
    core, tokens = make(input_dropout=ALL).train(), make_tokens([4])
    core.encoder.blocks[0].eval()
    torch.testing.assert_close(core(tokens).rows, core.eval()(tokens).rows)


def test_activation_dropout_is_within_the_feedforward():
    core, tokens = make(activation_dropout=ALL), make_tokens([4, 6])
    with reference_mode():
        found = core.train()(tokens).rows
    for block in core.encoder.blocks:
        torch.nn.init.zeros_(block.feedforward.out.weight)
    torch.testing.assert_close(found, core.eval()(tokens).rows)


def test_dropout_is_of_what_each_layer_adds():
    core, tokens = make(dropout=ALL, activation_dropout=0.0), make_tokens([4, 6])
    with reference_mode():
        found = core.train()(tokens).rows
    torch.testing.assert_close(found, core.encoder.final_norm(tokens.rows))


def test_dropout_and_drop_path_only_in_training():
    core = make(dropout=0.3, input_dropout=0.3, attention_dropout=0.3, drop_path=0.3)
    tokens = make_tokens([4, 6])
    assert not torch.equal(core(tokens).matrix, core(tokens).matrix)
    core.eval()
    assert torch.equal(core(tokens).matrix, core(tokens).matrix)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"batch"}))
def test_checkpointed_blocks_give_the_same_gradients(kind):
    changes = KINDS[kind] | {"dropout": 0.2, "drop_path": 0.2}
    plain, twice = make(**changes), make(**changes, gradient_checkpointing=True)
    tokens = make_tokens([4, 6])
    memory = memory_for(plain, tokens)
    found = []
    for core in (plain, twice):
        torch.manual_seed(1)
        core(tokens, memory).rows.square().sum().backward()
        found.append([p.grad for p in core.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("lengths", [(5, 5), (3, 0, 7), (10, 2000, 100)])
@pytest.mark.parametrize("kind", KINDS)
def test_nobody_asks_the_device_for_a_number(kind, lengths):
    """The meta device has none to give; on CUDA asking would make the host wait."""
    core = make(torch.float32, **KINDS[kind], drop_path=0.1, attention_dropout=0.1).to("meta")

    def tokens(lengths):
        return Tokens.from_rows(torch.zeros(sum(lengths), 16, device="meta"), lengths)

    memory = tokens([2] * len(lengths)) if kind in TWO_STACKS else None
    core(tokens(lengths), memory).rows.sum().backward()


def test_residual_outputs_begin_smaller_the_deeper_the_core():
    core = Transformer(TransformerConfig(dim=64, depth=8, num_heads=1))
    block = core.encoder.blocks[3]
    assert 0.015 < block.attention.qkv.weight.std() < 0.02  # 0.02, truncated at two deviations
    ratio = block.attention.qkv.weight.std() / block.feedforward.out.weight.std()
    assert abs(ratio - 16**0.5) < 0.3  # two layers in each of 8 blocks
    assert all((p == 0).all() for n, p in core.named_parameters() if n.endswith("bias"))


def test_shared_blocks_begin_as_small_as_others_of_their_depth():
    def begin(**changes):
        torch.manual_seed(0)
        core = Transformer(TransformerConfig(dim=32, depth=4, num_heads=1, **changes))
        return core.encoder.blocks[0].feedforward.out.weight

    torch.testing.assert_close(begin(share_blocks=True).std(), begin().std(), rtol=0.1, atol=0)
    names = Transformer(TransformerConfig(dim=32, depth=4, share_blocks=True)).state_dict()
    assert {name.split(".")[2] for name in names if ".blocks." in name} == {"0"}


@pytest.mark.parametrize(
    "changes, absent",
    [
        ({"residual": "parallel_shared"}, ["feedforward_residual.norm.weight"]),
        ({"first_norm": False}, ["attention_residual.norm.weight", "attention_residual.norm.bias"]),
        ({"qkv_bias": False}, ["attention.qkv.bias"]),
        ({"attention_out_bias": False}, ["attention.out.bias"]),
        ({"norm_bias": False}, ["attention_residual.norm.bias", "feedforward_residual.norm.bias"]),
    ],
)  # fmt: skip
def test_what_is_not_used_has_no_parameters(changes, absent):
    def names(**changes):
        return set(make(depth=1, **changes).encoder.blocks[0].state_dict())

    lacking = names() - names(**changes)
    assert lacking >= set(absent)
    assert names(**changes) < names()


def test_what_cannot_be_read_is_said():
    with pytest.raises(UserError, match=r"'encoder' cannot read a memory"):
        make()(make_tokens([3]), make_tokens([3]))
    with pytest.raises(UserError, match=r"2 sequences cannot read 1 memories"):
        make(kind="encoder-decoder")(make_tokens([3, 1]), make_tokens([3]))
    with pytest.raises(UserError, match=r"3 position axes, but .* a grid, whose axes are 2"):
        make(relative_positions="beit", grid=[2, 2])(make_tokens([3], axes=3))
    with pytest.raises(UserError, match=r"16 wide, but the core's dim is 32"):
        make(dim=32)(make_tokens([3]))
