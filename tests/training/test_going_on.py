"""Where a run goes on: by what it did, and by how its batches are made now."""

import json

import pytest

from unitf.data.epoch_sampler import EpochSampler, EpochStart, Stretch
from unitf.errors import UserError
from unitf.training.going_on import (
    Standing,
    changes,
    continuation,
    of_counters,
    stream_continuation,
)

BEFORE = Stretch(size=4, tokens=False, accumulation=1, world=1, steps=0, of=10)  # 40 samples


def left(size=4, world=1):
    return EpochSampler([40], size, seed=0, world=world).num_steps_left


def standing(batches, ended=False, stretch=BEFORE, epoch=2, **others):
    start = EpochStart(epoch, batches)
    return Standing(start, stretch, batches, 10, (0, 40, 40), ended, False, **others)


def test_a_standing_survives_a_checkpoint():
    earlier = (Stretch(4, False, 2, 1, 3, 10),)
    saved = Standing(
        EpochStart(2, 1, earlier), BEFORE, 4, 9, (0, 40), False, True, True, {"a": 1.0}
    )
    assert Standing.of_plain(json.loads(json.dumps(saved.to_plain()))) == saved


def test_an_unchanged_run_goes_on_at_its_batch():
    goes_on = continuation(standing(7), BEFORE, (0, 40, 40), left())
    assert (goes_on.start, goes_on.batches, goes_on.length) == (EpochStart(2, 7), 7, 10)
    assert goes_on.within and goes_on.same


def test_between_two_epochs_nothing_is_left():
    goes_on = continuation(standing(10, ended=True), BEFORE, (0, 40, 40), left())
    assert (goes_on.start, goes_on.batches, goes_on.within) == (EpochStart(3), 0, False)


def test_the_end_of_an_epoch_that_is_not_done_is_within_it():
    goes_on = continuation(standing(10), BEFORE, (0, 40, 40), left())
    assert (goes_on.batches, goes_on.length, goes_on.within) == (10, 10, True)


@pytest.mark.parametrize(
    ("now", "batches", "length"),
    [
        (BEFORE._replace(size=8, of=5), 2, 5),  # 20 samples are left: 3 batches of up to 8
        (BEFORE._replace(size=2, of=20), 10, 20),
        (BEFORE._replace(world=2, of=5), 2, 5),
        (BEFORE._replace(accumulation=2), 4, 9),  # 5 batches are left, which make 3 of 5 steps
        (BEFORE._replace(accumulation=4), 4, 9),  # they make 2 of 3 steps
    ],
    ids=str,
)
def test_another_way_to_make_batches_has_the_rest_of_the_epoch(now, batches, length):
    goes_on = continuation(standing(5), now, (0, 40, 40), left(now.size, now.world))
    assert (goes_on.batches, goes_on.length) == (batches, length)
    assert goes_on.start == EpochStart(2, 0, (BEFORE._replace(steps=5),))
    assert goes_on.batches % now.accumulation == 0
    assert not goes_on.same


def test_half_a_step_is_done_again():
    stretch = BEFORE._replace(accumulation=3)
    goes_on = continuation(standing(8, stretch=stretch), stretch, (0, 40, 40), left())
    assert (goes_on.start.step, goes_on.batches, goes_on.half) == (6, 6, 2)


def test_with_other_data_the_epoch_begins_anew():
    goes_on = continuation(standing(5), BEFORE._replace(of=20), (0, 80, 80), left())
    assert (goes_on.start, goes_on.within, goes_on.same) == (EpochStart(2), False, False)


def test_a_limit_of_batches_is_shared_by_the_stretches():
    limited = BEFORE._replace(of=6)
    saved = Standing(EpochStart(0, 3), limited, 3, 6, (0, 40, 40), False, False)
    goes_on = continuation(saved, limited._replace(size=2), (0, 40, 40), left(2))
    assert goes_on.length - goes_on.batches == 3  # half of the six


def test_what_changes_is_said():
    now = Stretch(8, False, 2, 4, 0, 5)
    assert changes(standing(5), now, (0, 40, 40)) == [
        "data.batch_size 8 (before: 4)",
        "trainer.accumulate_grad_batches 2 (before: 1)",
        "4 processes (before: 1)",
    ]
    tokens = Stretch(64, True, 1, 1, 0, 5)
    assert changes(standing(5), tokens, (1, 40, 40)) == [
        "data.tokens_per_batch 64 (before: data.batch_size 4)",
        "other training data, or another order of it",
    ]


@pytest.mark.parametrize(
    ("now", "identity", "line"),
    [
        (BEFORE, (10, 4), "data.num_workers 4, expected 2 as before"),
        (BEFORE, (20, 2), "data.steps_per_epoch 20, expected 10 as before"),
        (BEFORE._replace(world=2), (10, 2), "number of processes 2, expected 1 as before"),
        (BEFORE._replace(size=8), (10, 2), "data.batch_size 8, expected 4 as before"),
    ],
    ids=str,
)
@pytest.mark.parametrize("ended", [False, True])
def test_a_stream_that_would_give_samples_twice_is_refused(now, identity, line, ended):
    saved = Standing(EpochStart(0, 10), BEFORE, 10, 10, (10, 2), ended, False)
    with pytest.raises(UserError, match=line):
        stream_continuation(saved, now, identity)


def test_a_stream_goes_on_and_may_accumulate_otherwise():
    saved = Standing(EpochStart(1, 5), BEFORE, 5, 10, (10, 2), False, False)
    assert stream_continuation(saved, BEFORE, (10, 2)).start == EpochStart(1, 5)
    goes_on = stream_continuation(saved, BEFORE._replace(accumulation=4), (10, 2))
    assert (goes_on.start, goes_on.batches, goes_on.length) == (EpochStart(1, 5), 4, 9)


def test_a_checkpoint_of_an_earlier_unitf_goes_on_as_it_was_or_is_refused():
    saved = of_counters(25, 5, 2, False, BEFORE, (0, 40, 40))
    assert saved.start == EpochStart(2, 5)
    between = of_counters(30, 10, 3, True, BEFORE._replace(size=8, of=5), (0, 40, 40))
    assert (between.start.epoch, between.ended, between.complete) == (2, True, True)
    with pytest.raises(UserError, match="after 7 batches of an epoch, which does not fit 5"):
        of_counters(27, 7, 2, False, BEFORE._replace(size=8, of=5), (0, 40, 40))
