"""Every kernel against a mask over the whole packed batch."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from unitf.core.attention import blockwise, kernels
from unitf.core.attention import sdpa as scores
from unitf.core.attention.blockwise import Blockwise
from unitf.core.attention.grouped import Grouped, group
from unitf.core.attention.kernels import make_kernel
from unitf.core.attention.nothing import Nothing
from unitf.core.attention.padded import Padded
from unitf.core.attention.reshaped import Reshaped
from unitf.core.attention.sdpa import AttentionSpec
from unitf.core.attention.variable_lengths import VariableLengths

CPU = torch.device("cpu")
PATTERNS = {
    "full": {},
    "causal": {"causal": True},
    "window": {"window": 3},
    "causal window": {"causal": True, "window": 2},
    "bias": {"bias": True},
    "causal bias": {"causal": True, "bias": True},
    "window and bias": {"window": 3, "bias": True},
    "scale": {"scale": 0.7},
    "causal scale": {"causal": True, "scale": 0.7},
    "softcap": {"softcap": 0.5},
    "causal softcap, scale": {"causal": True, "softcap": 0.5, "scale": 0.7},
    "softcap, window, bias": {"softcap": 0.5, "window": 3, "bias": True},
}


def distance_bias(queries, keys):
    """Two heads' worth of something that depends on both positions."""
    difference = (queries[..., :, None] - keys[..., None, :]).sum(-3)
    return torch.stack([difference.sin(), -difference.abs()], dim=-3)


def make_pattern(query_lengths, key_lengths=None, bias=False, dtype=torch.float64, **values):
    positions = torch.randn(2, sum(query_lengths), dtype=dtype) if bias else None
    return AttentionSpec(
        tuple(query_lengths),
        tuple(key_lengths or query_lengths),
        bias=distance_bias if bias else None,
        positions=positions,
        **values,
    )


def make_group_kernel(pattern):
    return make_kernel(pattern, CPU, torch.float64, grouped=True)


def make_heads(pattern, kv_heads=2, dtype=torch.float64, device=CPU):
    def rows(lengths, heads):
        return torch.randn(sum(lengths), heads, 8, dtype=dtype, device=device).requires_grad_()

    return (
        rows(pattern.query_lengths, 2),
        rows(pattern.key_lengths, kv_heads),
        rows(pattern.key_lengths, kv_heads),
    )


def whole(pattern, q, k, v):
    """All scores of the packed batch, with -inf between sequences."""
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    scale = q.shape[-1] ** -0.5 if pattern.scale is None else pattern.scale
    scores = torch.einsum("ihd,jhd->hij", q, k) * scale
    if pattern.softcap is not None:
        scores = pattern.softcap * torch.tanh(scores / pattern.softcap)
    query_lengths, key_lengths = map(torch.tensor, (pattern.query_lengths, pattern.key_lengths))
    mine = torch.arange(len(query_lengths)).repeat_interleave(query_lengths)
    theirs = torch.arange(len(key_lengths)).repeat_interleave(key_lengths)
    i = torch.cat([torch.arange(n) for n in pattern.query_lengths])
    j = torch.cat([torch.arange(n) for n in pattern.key_lengths])
    distance = i[:, None] - j
    seen = mine[:, None] == theirs
    if pattern.causal:
        seen &= distance >= 0
    if pattern.window is not None:
        seen &= distance.abs() <= pattern.window
    if pattern.bias is not None:
        scores = scores + pattern.bias(pattern.positions, pattern.positions)
    weights = scores.masked_fill(~seen, -torch.inf).softmax(-1).nan_to_num()
    return torch.einsum("hij,jhd->ihd", weights, v)


def check(kernel, pattern, heads, rtol=1e-9, atol=1e-9):
    out, expected = kernel(*heads), whole(pattern, *(x.double() for x in heads))
    torch.testing.assert_close(out.double(), expected, rtol=rtol, atol=atol)
    weight = torch.randn_like(expected)
    mine = torch.autograd.grad((out * weight).sum(), heads)
    theirs = torch.autograd.grad((expected * weight).sum(), heads)
    for found, wanted in zip(mine, theirs, strict=True):
        torch.testing.assert_close(found, wanted, rtol=rtol, atol=atol)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """So that short sequences already fill several."""
    monkeypatch.setattr(kernels, "BLOCK", 4)
    monkeypatch.setattr(blockwise, "BLOCK", 4)
    torch.manual_seed(0)


@pytest.mark.parametrize("kv_heads", [2, 1], ids=["", "grouped"])
@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("kind", [Reshaped, Padded, Blockwise])
def test_kernels_agree_on_equal_lengths(kind, name, kv_heads):
    pattern = make_pattern([9, 9, 9], **PATTERNS[name])
    kernel = kind(pattern) if kind is Blockwise else kind(pattern, CPU, torch.float64)
    check(kernel, pattern, make_heads(pattern, kv_heads))


@pytest.mark.parametrize("lengths", [(6, 6, 6), (6, 0, 9)], ids=["equal", "ragged"])
@pytest.mark.parametrize("name", PATTERNS)
def test_explicit_attention_is_exact(monkeypatch, name, lengths):
    monkeypatch.setattr(scores, "HALF", (torch.float64,))  # what else only half precision takes
    monkeypatch.setattr(scores.F, "scaled_dot_product_attention", None)
    pattern = make_pattern(lengths, **PATTERNS[name])
    check(make_kernel(pattern, CPU, torch.float64), pattern, make_heads(pattern, kv_heads=1))


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("kind", [Padded, Blockwise])
def test_kernels_agree_on_different_lengths(kind, name):
    pattern = make_pattern([5, 0, 11, 1], **PATTERNS[name])
    kernel = kind(pattern) if kind is Blockwise else kind(pattern, CPU, torch.float64)
    check(kernel, pattern, make_heads(pattern))


@pytest.mark.parametrize("groups", [[[1, 3], [0], [4, 2]], [[4], [0, 1, 2, 3]]])
@pytest.mark.parametrize("kv_heads", [2, 1], ids=["", "grouped heads"])
@pytest.mark.parametrize("name", PATTERNS)
def test_groups_agree_however_they_are_made(name, kv_heads, groups):
    pattern = make_pattern([5, 0, 11, 1, 11], **PATTERNS[name])
    kernel = Grouped(pattern, groups, CPU, make_group_kernel)
    check(kernel, pattern, make_heads(pattern, kv_heads))


def test_groups_agree_where_queries_look_at_others():
    pattern = make_pattern([3, 2, 0, 7], [2, 0, 4, 5])
    kernel = Grouped(pattern, [[3, 1], [2, 0]], CPU, make_group_kernel)
    check(kernel, pattern, make_heads(pattern))


@settings(max_examples=100, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=9), separate=st.integers(0, 20_000)
)
def test_groups_cost_the_least(lengths, separate):
    def cost(parts):
        longest = [max(part) for part in parts]
        return sum(
            len(part) * (n * n + 50 * n) + separate for part, n in zip(parts, longest, strict=True)
        )

    groups = group([(n, n) for n in lengths], separate)
    assert sorted(number for members in groups for number in members) == list(range(len(lengths)))
    ordered = sorted(lengths)
    every = [
        [ordered[a:b] for a, b in itertools.pairwise([0, *cuts, len(ordered)])]
        for count in range(len(ordered))
        for cuts in itertools.combinations(range(1, len(ordered)), count)
    ]
    found = [[lengths[number] for number in members] for members in groups]
    assert cost(found) == min(map(cost, every))


def test_very_many_lengths_are_grouped_too():
    groups = group([(n, n) for n in range(1, 2001)], 8_000)
    assert sorted(number for members in groups for number in members) == list(range(2000))
    assert 10 < len(groups) <= 64


@pytest.mark.parametrize("kind", [Padded, Blockwise])
def test_queries_of_a_sequence_without_keys_read_nothing(kind):
    pattern = make_pattern([3, 2, 0], [2, 0, 4])
    kernel = kind(pattern) if kind is Blockwise else kind(pattern, CPU, torch.float64)
    heads = make_heads(pattern)
    check(kernel, pattern, heads)
    assert (kernel(*heads)[3:] == 0).all()


@pytest.mark.parametrize("lengths", [(6, 6, 6), (6, 0, 9)], ids=["equal", "ragged"])
@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_kernels_agree_in_lower_precision(dtype, name, lengths):
    pattern = make_pattern(lengths, dtype=torch.float32, **PATTERNS[name])
    tolerance = 1e-5 if dtype == torch.float32 else 0.06
    heads = make_heads(pattern, dtype=dtype)
    check(make_kernel(pattern, CPU, dtype), pattern, heads, rtol=tolerance, atol=tolerance)


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=6),
    name=st.sampled_from(list(PATTERNS)),
    cross=st.booleans(),
)
def test_any_lengths_are_right(lengths, name, cross):
    queries = [n for n, _ in lengths]
    pattern = make_pattern(queries, **PATTERNS[name])
    if cross:
        values = {k: v for k, v in PATTERNS[name].items() if k in ("softcap", "scale")}
        pattern = make_pattern(queries, [m for _, m in lengths], **values)
    check(make_kernel(pattern, CPU, torch.float64), pattern, make_heads(pattern))


@pytest.mark.parametrize("keys", [3, 6, 13])
def test_a_long_sequence_reads_all_of_a_shorter_memory(keys):
    pattern = make_pattern([11, 11], [keys, keys], softcap=0.5)
    check(make_kernel(pattern, CPU, torch.float64), pattern, make_heads(pattern))


def test_the_choice_of_kernel():
    def chosen(lengths, **values):
        return type(make_kernel(make_pattern(lengths, **values), CPU, torch.float32))

    assert chosen([7, 7]) is Reshaped
    assert chosen([65] * 64, causal=True) is Reshaped
    assert chosen([15, 17] * 20) is Padded
    assert chosen([5, 17, 40] * 20) is Grouped
    assert chosen([700, 100, 30]) is Grouped
    assert chosen([30] * 50 + [400]) is Grouped
    assert chosen([90, 91] * 2, causal=True, window=3) is Blockwise
    assert chosen([50, 50], window=3) is Blockwise  # its mask would be large: BLOCK is 4 here
    assert chosen([0, 0]) is Nothing
    assert chosen([]) is Nothing


def test_a_window_over_a_long_sequence_needs_no_square_of_it():
    pattern = make_pattern([4000], causal=True, window=2)
    shapes = []

    def spy(q, k, v, *args, **kwargs):
        shapes.append(k.shape[2])
        return F.scaled_dot_product_attention(q, k, v)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blockwise, "dense", spy)
        make_kernel(pattern, CPU, torch.float32)(*make_heads(pattern))
    assert max(shapes) <= 4 + 2


@pytest.mark.parametrize("name", ["full", "causal"])
def test_dropout_keeps_the_mean(name):
    pattern = make_pattern([10] * 8, dropout=0.4, **PATTERNS[name])
    q, k, v = make_heads(pattern)
    kernel = make_kernel(pattern, CPU, torch.float64)
    outs = torch.stack([kernel(q, k, v) for _ in range(100)]).detach()
    assert not torch.equal(outs[0], outs[1])
    wanted = whole(pattern, q, k, v).detach()
    error = outs.std(0) / len(outs) ** 0.5
    assert ((outs.mean(0) - wanted).abs() < 6 * error + 1e-9).all()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", ["full", "causal", "window", "causal window", "scale"])
def test_variable_lengths_on_cuda_equal_padding(name):
    pattern = make_pattern([5, 0, 33, 1], **PATTERNS[name])
    device = torch.device("cuda")
    kernel = make_kernel(pattern, device, torch.bfloat16)
    assert isinstance(kernel, VariableLengths)
    heads = make_heads(pattern, kv_heads=1, dtype=torch.bfloat16, device=device)
    expected = Padded(pattern, device, torch.bfloat16)(*heads)
    torch.testing.assert_close(kernel(*heads), expected, rtol=2e-2, atol=2e-2)
