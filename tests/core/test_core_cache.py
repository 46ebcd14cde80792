"""A cache: what was read before need not be read again, and nothing else changes."""

import pytest
import torch

from unitf import Tokens, UserError
from unitf.core import Cache, Transformer, TransformerConfig

DIM = 16
DECODERS = {
    "none": {},
    "rotary": {"relative_positions": "rotary", "num_kv_heads": 1},
    "ALiBi": {"relative_positions": "alibi", "attention_softcap": 2.0},
    "buckets": {"relative_positions": "t5", "num_buckets": 8, "max_distance": 10},
    "grid": {"relative_positions": "beit", "grid": [4, 4]},
    "mixed": {"relative_positions": "rope_mixed"},
    "window": {"window": 3, "relative_positions": "alibi"},
    "chunk": {"chunk": 4},
    "global": {
        "window": 2,
        "global_blocks": [1],
        "relative_positions": "rotary",
        "global_rotary_base": 50.0,
    },
    "norms of heads": {"qk_norm": True, "norm_position": "sandwich", "norm": "rms_offset"},
    "parallel": {"residual": "parallel", "attention_scale": 0.3},
    "shared": {"share_blocks": True, "norm_position": "post"},
    "half": {
        "relative_positions": "rotary",
        "rotary_dim": 4,
        "input_norm": True,
        "final_norm": False,
    },
}
LENGTHS = (5, 9, 2, 12)


def make(kind="decoder", **settings):
    torch.manual_seed(0)
    core = Transformer(TransformerConfig(dim=DIM, depth=3, num_heads=2, kind=kind, **settings))
    with torch.no_grad():  # so that every token matters to every other
        for parameter in core.parameters():
            parameter.mul_(3 if parameter.ndim > 1 else 1)
    return core.eval()


def tokens(lengths=LENGTHS, seed=1):
    torch.manual_seed(seed)
    return Tokens.from_rows(torch.randn(sum(lengths), DIM), lengths)


def in_pieces(core, whole, firsts, step, capacity=4, **first):
    """The columns when each sequence is read up to `firsts`, then `step` tokens at a time."""
    cache, parts = Cache(capacity), [[] for _ in whole.lengths]
    output_columns = [0] * len(parts)
    with torch.inference_mode():
        while any(n < length for n, length in zip(output_columns, whole.lengths, strict=True)):
            ends = [n + step for n in output_columns] if any(output_columns) else firsts
            ends = [min(end, n) for end, n in zip(ends, whole.lengths, strict=True)]
            pieces = [
                s.within(n, e) for s, n, e in zip(whole.split(), output_columns, ends, strict=True)
            ]
            columns = core(Tokens.pack(pieces), cache=cache, **first)
            first = {}
            for part, piece in zip(parts, columns.split(), strict=True):
                part.append(piece.rows)
            output_columns = ends
    return torch.cat([row for part in parts for row in part])


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("step", [1, 3])
def test_a_decoder_reads_in_pieces_what_it_reads_at_once(name, step):
    core, whole = make(**DECODERS[name]), tokens()
    torch.testing.assert_close(in_pieces(core, whole, (3, 6, 1, 8), step), core(whole).rows)


@pytest.mark.parametrize("positions", ["rotary", "t5"])
def test_a_prefix_is_read_first(positions):
    core, whole, firsts = make(relative_positions=positions), tokens(), (3, 6, 1, 8)
    found = in_pieces(core, whole, firsts, 1, prefix=firsts)
    torch.testing.assert_close(found, core(whole, prefix=firsts).rows)


@pytest.mark.parametrize("lengths", [(4, 7, 1, 3), (3, 3, 3, 3), (0, 2, 0, 1), (0, 0, 0, 0)])
@pytest.mark.parametrize(
    "settings", [{"relative_positions": "t5"}, {"qk_norm": True, "num_kv_heads": 1}]
)
def test_a_memory_is_read_once(lengths, settings):
    core, whole, memory = make("encoder-decoder", **settings), tokens(), tokens(lengths, seed=2)
    found = in_pieces(core, whole, (1, 1, 1, 1), 1, memory=memory)
    torch.testing.assert_close(found, core(whole, memory).rows)


@pytest.mark.parametrize("kind", ["decoder", "encoder-decoder"])
@pytest.mark.parametrize("name", ["ALiBi", "window"])
def test_sequences_go_on_in_another_order_and_several_times(kind, name):
    core, whole, memory = make(kind, **DECODERS[name]), tokens((4, 7, 5)), tokens((3, 6, 2), seed=2)
    more = tokens((1,) * 6, seed=3).split()
    first = {"memory": memory} if kind == "encoder-decoder" else {}
    cache = Cache()
    core(whole, cache=cache, **first)
    cache.reorder([2, 2, 0, 0], sharing=2)
    once = core(Tokens.pack(more[:4]), cache=cache)
    cache.reorder([3, 2], sharing=2)
    found = core(Tokens.pack(more[4:]), cache=cache)
    sequences, memories = whole.split(), memory.split()
    for column, path in [
        (once.split()[1], (2, more[1])),
        (found.split()[0], (0, more[3], more[4])),
        (found.split()[1], (0, more[2], more[5])),
    ]:
        alone = Tokens.concat([sequences[path[0]], *path[1:]])
        alone = Tokens.from_rows(alone.rows, positions=alone.positions)
        again = {"memory": memories[path[0]]} if first else {}
        torch.testing.assert_close(column.rows[-1], core(alone, **again).rows[-1])


def test_blocks_with_a_window_keep_no_more_than_it():
    core, cache = make(window=3, global_blocks=[2]), Cache(capacity=4)
    core(tokens(), cache=cache)
    assert [keys.rows.shape[1] for keys, _ in cache.blocks] == [4, 4, 16]


def test_room_is_made_once_where_it_is_known():
    core, cache = make(), Cache(capacity=20)
    core(tokens(), cache=cache)
    places = [keys.rows.data_ptr() for keys, _ in cache.blocks]
    for seed in range(8):
        core(tokens((1,) * 4, seed), cache=cache)
    assert places == [keys.rows.data_ptr() for keys, _ in cache.blocks]


def test_what_does_not_follow_is_said():
    core, cache = make(), Cache()
    core(tokens(), cache=cache)
    with pytest.raises(UserError, match="2 sequences cannot follow 4 in a cache"):
        core(tokens((1, 1)), cache=cache)
    with pytest.raises(UserError, match="a prefix for the first call"):
        core(tokens(), prefix=LENGTHS, cache=cache)
    with pytest.raises(UserError, match="for causal cores"):
        core(tokens(), causal=False, cache=Cache())
    core, cache = make("encoder-decoder"), Cache()
    core(tokens(), tokens(), cache=cache)
    with pytest.raises(UserError, match="and only then"):
        core(tokens(), tokens(), cache=cache)


def test_a_cache_grows_where_later_tokens_have_fewer_axes():
    core, cache = make(relative_positions="t5"), Cache(4)
    torch.manual_seed(1)
    rows = torch.randn(10, DIM)
    places = torch.zeros(2, 10)
    places[0] = torch.arange(10.0)
    image = Tokens.from_rows(rows[:4], (4,), places[:, :4])
    text = Tokens.from_rows(rows[4:], (6,), places[:1, 4:])
    with torch.inference_mode():
        found = torch.cat([core(part, cache=cache).rows for part in (image, text)])
        expected = core(Tokens.concat([image, text])).rows
    torch.testing.assert_close(found, expected)
