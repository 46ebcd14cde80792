"""A prefix: its tokens see each other in a causal core, and nothing of what follows."""

import pytest
import torch

from unitf import Tokens, UserError
from unitf.core import Transformer, TransformerConfig

LENGTHS, PREFIX = (5, 9, 2, 5), (3, 4, 2, 0)


def make(**settings):
    torch.manual_seed(0)
    config = {"dim": 16, "depth": 2, "num_heads": 2, "kind": "decoder", **settings}
    return Transformer(TransformerConfig(**config)).eval()


def tokens(lengths=LENGTHS):
    torch.manual_seed(1)
    return Tokens.from_rows(torch.randn(sum(lengths), 16), lengths)


@pytest.mark.parametrize("positions", ["none", "rotary", "alibi", "t5"])
def test_a_prefix_sees_all_of_itself_and_the_rest_only_what_came_before(positions):
    core, given = make(relative_positions=positions), tokens()
    before = core(given, prefix=PREFIX).rows.split(LENGTHS)
    for number, prefix in enumerate(PREFIX):
        for place in range(LENGTHS[number]):
            rows = given.rows.clone()
            rows[sum(LENGTHS[:number]) + place] += torch.randn(16)
            after = core(given.with_rows(rows), prefix=PREFIX).rows.split(LENGTHS)
            first = 0 if place < prefix else place  # the first column that may change
            changed = (after[number] - before[number]).abs().amax(1) > 1e-6
            assert changed.tolist() == [n >= first for n in range(LENGTHS[number])]
            for other in set(range(4)) - {number}:
                torch.testing.assert_close(after[other], before[other])


def test_a_whole_prefix_is_an_encoder_and_none_is_a_decoder():
    core, given = make(relative_positions="rotary"), tokens()
    torch.testing.assert_close(core(given, prefix=LENGTHS).rows, core(given, causal=False).rows)
    torch.testing.assert_close(core(given, prefix=(0,) * 4).rows, core(given).rows)
    torch.testing.assert_close(
        core(given, causal=False, prefix=PREFIX).rows, core(given, causal=False).rows
    )


def test_a_prefix_equals_its_sequences_one_at_a_time():
    core, given = make(relative_positions="alibi", window=2), tokens()
    together = core(given, prefix=PREFIX).split()
    for part, whole, prefix in zip(given.split(), together, PREFIX, strict=True):
        torch.testing.assert_close(core(part, prefix=[prefix]).rows, whole.rows)


def test_gradients_go_through_a_prefix():
    core, given = make(relative_positions="t5"), tokens()
    core(given, prefix=PREFIX).rows.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in core.parameters())


def test_what_is_no_prefix_is_said():
    for prefix in ((3, 4), (6, 4, 2, 0)):
        with pytest.raises(UserError, match="prefixes of"):
            make()(tokens(), prefix=prefix)
    with pytest.raises(UserError, match="chunk"):
        make(chunk=2)(tokens(), prefix=PREFIX)


def test_without_a_memory_the_tokens_are_for_the_encoder():
    core, given = make(kind="encoder-decoder"), tokens()
    torch.testing.assert_close(core(given, causal=False).rows, core.encode(given).rows)
