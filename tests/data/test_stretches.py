"""Stretches: an epoch that goes on otherwise has each sample that is left once."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitf.data.epoch_sampler import EpochSampler, EpochStart, Stretch

LENGTHS = [np.random.default_rng(0).integers(1, 9, 60), np.random.default_rng(1).integers(1, 9, 11)]
COUNTS = [60, 11]


def sampler(size, world, rank=0, tokens=False):
    lengths = LENGTHS if tokens else None
    order = EpochSampler(COUNTS, size, lengths, seed=3, rank=rank, world=world)
    order.count_tokens = lambda: LENGTHS
    return order


def batches(start, size, world, tokens=False):
    """The batches of all processes, for each step."""
    orders = [sampler(size, world, rank, tokens) for rank in range(world)]
    for order in orders:
        order.start = start
    return list(zip(*orders, strict=True))


def cut(changes, epoch=2):
    """Trains some steps of each way to make batches, and the rest of the epoch with the last.

    Args:
        changes: the size, the number of processes, whether sizes are tokens, and the steps.
    """
    start, seen = EpochStart(epoch), []
    for size, world, tokens, steps in changes:
        rest = batches(start, size, world, tokens)
        done = rest[:steps]
        seen += [sample for step in done for batch in step for sample in batch]
        stretch = Stretch(size, tokens, 1, world, len(done), len(rest))
        start = start._replace(earlier=(*start.earlier, stretch))
    return seen


@pytest.mark.parametrize("worlds", [(1, 2, 1), (2, 1, 2)], ids=str)
@pytest.mark.parametrize("tokens", [False, True], ids=["samples", "tokens"])
def test_other_processes_in_mid_epoch_have_every_sample_of_it_once(worlds, tokens):
    size = 12 if tokens else 4
    seen = cut([(size, w, tokens, steps) for w, steps in zip(worlds, (3, 4, 99), strict=True)])
    assert max(Counter(seen).values()) == 1
    assert len(seen) == sum(COUNTS)
    assert {sample.epoch for sample in seen} == {2}


way = st.tuples(st.integers(9, 30), st.integers(1, 3), st.booleans(), st.integers(0, 6))


@given(st.lists(way, max_size=3), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_an_epoch_that_is_cut_anyhow_has_every_sample_once(changes, epoch):
    seen = cut([*changes, (10, 1, False, 99)], epoch)
    assert set(Counter(seen).values()) == {1}
    assert len(seen) == sum(COUNTS)


def test_the_number_of_steps_that_are_left_is_that_of_the_batches():
    for tokens in (False, True):
        for world in (1, 2):
            earlier = (Stretch(4, False, 1, 2, 3, 9), Stretch(16, True, 2, 1, 4, 9))
            order = sampler(16, world, tokens=tokens)
            rest = batches(EpochStart(1, 0, earlier), 16, world, tokens)
            assert len(rest) == order.num_steps_left(1, earlier) > 0


def test_what_is_left_can_begin_at_any_step():
    earlier = (Stretch(4, False, 1, 2, 3, 9),)
    rest = batches(EpochStart(1, 0, earlier), 5, 1)
    assert batches(EpochStart(1, 3, earlier), 5, 1) == rest[3:]


def test_nothing_is_left_after_all_batches():
    order = sampler(4, 1)
    earlier = (Stretch(4, False, 1, 1, len(order), len(order)),)
    assert order.num_steps_left(0, earlier) == 0
    assert batches(EpochStart(0, 0, earlier), 4, 1) == []
