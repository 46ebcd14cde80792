"""Order: a pure function, exact, in equal steps for all processes, within the budget."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitf.data.epoch_sampler import EpochSampler
from unitf.errors import UserError


def run(epoch=0, start=0, **arguments):
    """The batches of every process, for each step of an epoch."""
    world = arguments.get("world", 1)
    orders = [EpochSampler(**arguments, rank=rank) for rank in range(world)]
    for order in orders:
        order.start = (epoch, start)
    return list(zip(*orders, strict=True))


sizes = st.lists(st.integers(0, 40), min_size=1, max_size=3).filter(sum)
worlds = st.integers(1, 4)


@given(sizes, st.integers(1, 9), worlds, st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_training_draws_every_sample_once_whatever_the_number_of_processes(
    counts, size, world, epoch
):
    steps = run(epoch, counts=counts, size=size, world=world, seed=7)
    for step in steps:
        lengths = [len(batch) for batch in step]
        assert (
            0 <= max(lengths) - min(lengths) <= 1
        )  # a process without a sample has an empty batch
        assert 0 < max(lengths) <= size
    drawn = Counter((d.source, d.index) for step in steps for batch in step for d in batch)
    assert drawn.total() == len(drawn) == sum(counts)
    assert {d.epoch for step in steps for batch in step for d in batch} == {epoch}


@given(sizes, st.integers(1, 9), worlds)
@settings(max_examples=60, deadline=None)
def test_evaluation_has_every_sample_once_and_equal_steps(counts, size, world):
    steps = run(counts=counts, size=size, world=world)
    drawn = [(d.source, d.index) for step in steps for batch in step for d in batch]
    assert sorted(drawn) == [(s, i) for s, count in enumerate(counts) for i in range(count)]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=80), worlds, st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_no_batch_exceeds_the_budget_and_the_number_of_steps_is_constant(lengths, world, epoch):
    arguments = {"counts": [len(lengths)], "size": 64, "lengths": [np.array(lengths)]}
    for seed in (3, None):
        steps = run(epoch, **arguments, world=world, seed=seed)
        assert len(steps) == len(run(epoch + 1, **arguments, world=world, seed=seed))
        batches = [batch for step in steps for batch in step]
        assert all(sum(lengths[d.index] for d in batch) <= 64 for batch in batches)
        drawn = Counter(d.index for batch in batches for d in batch)
        assert set(drawn) == set(range(len(lengths)))
        assert max(drawn.values()) == 1
        if seed is not None:  # some process has a sample in every step
            assert all(any(step) for step in steps)


def test_batches_of_a_token_budget_are_full():
    lengths = np.random.default_rng(0).integers(5, 60, size=2000)
    steps = run(counts=[2000], size=1024, lengths=[lengths], seed=0)
    assert np.mean([sum(lengths[d.index] for d in batch) for (batch,) in steps]) > 0.93 * 1024


def test_two_processes_see_the_samples_of_one_with_twice_the_batch():
    two = run(counts=[53, 10], size=4, world=2, seed=1)
    one = run(counts=[53, 10], size=8, world=1, seed=1)
    for (first, second), (both,) in zip(two[:-1], one[:-1], strict=True):
        assert sorted(first + second) == sorted(both)


def test_weights_share_an_epoch_and_repeat_evenly():
    arguments = {"counts": [100, 7], "size": 5, "weights": [1.0, 1.0], "seed": 2}
    times, seen = Counter(), Counter()
    for epoch in range(9):
        for (batch,) in run(epoch, **arguments):
            times.update(d.source for d in batch)
            seen.update((d.source, d.index) for d in batch)
            assert len(set(batch)) == len(batch)
    assert abs(times[0] - times[1]) <= 9
    for source in (0, 1):  # passes are whole permutations: no sample is ahead by more than one
        drawn = [count for (s, _), count in seen.items() if s == source]
        assert max(drawn) - min(drawn) <= 1
    assert len(seen) == 107


def test_weights_with_a_budget_keep_to_it_in_every_epoch():
    lengths = [np.arange(1, 31), np.array([40, 2, 3])]
    arguments = {"counts": [30, 3], "size": 60, "lengths": lengths, "weights": [1.0, 2.0]}
    arguments |= {"seed": 0, "world": 2}
    for epoch in range(8):
        steps = run(epoch, **arguments)
        assert len(steps) == len(run(0, **arguments))
        for step in steps:
            for batch in step:
                assert 0 < sum(lengths[d.source][d.index] for d in batch) <= 60


def test_an_epoch_can_begin_at_any_step():
    whole = run(3, counts=[40], size=4, seed=5)
    assert run(3, 6, counts=[40], size=4, seed=5) == whole[6:]
    assert run(3, counts=[40], size=4, seed=6) != whole


def test_a_sample_longer_than_the_budget_is_an_error():
    with pytest.raises(UserError, match="a sample has 12 tokens, more than tokens_per_batch 10"):
        EpochSampler([2], size=10, lengths=[np.array([3, 12])])
