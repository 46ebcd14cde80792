"""Balanced drawing of classes, and inputs that training samples lose: pure functions of seeds."""

from collections import Counter

import pytest
from toys import make_data, make_learner, make_trainer

from unitf import UserError
from unitf.data import Balance
from unitf.data.balance import BalancedSampler
from unitf.data.epoch_sampler import EpochSampler, EpochStart, Stretch
from unitf.data.modality_dropout import ModalityDropout
from unitf.tasks import Classification

ROWS = [{"label": label} for label in "a" * 12 + "b" * 3 + "c"]


def sampler(strength=1.0, size=4, rank=0, world=1, seed=3, rows=ROWS):
    balance = Balance("label", strength)
    return BalancedSampler(balance, {"rows": rows}, size, None, None, seed, rank, world)


def drawn(order, epoch=0, step=0, earlier=()):
    order.start = EpochStart(epoch, step, earlier)
    return [index for batch in order for index in batch]


def test_classes_are_drawn_equally_often_and_none_twice_before_all_once():
    order = sampler()
    indices = [index for epoch in range(8) for index in drawn(order, epoch)]
    counts = Counter(ROWS[index.index]["label"] for index in indices)
    assert counts["a"] == counts["b"] == counts["c"]
    single = Counter(index.index for index in indices)
    of_a = [single[index] for index in range(12)]
    assert max(of_a) - min(of_a) <= 1
    # what seeds augmentation differs whenever a sample comes again
    assert len({(index.epoch, index.index) for index in indices}) == len(indices)


def test_strength_0_draws_as_often_as_classes_occur():
    counts = Counter(ROWS[i.index]["label"] for i in drawn(sampler(0.0)))
    assert counts == Counter("a" * 12 + "b" * 3 + "c")
    half = Counter(ROWS[i.index]["label"] for e in range(20) for i in drawn(sampler(0.5), e))
    assert half["a"] / half["b"] == pytest.approx(2, rel=0.2)


def test_an_epoch_goes_on_at_any_step_and_with_other_processes():
    whole = drawn(sampler(), 2)
    assert drawn(sampler(), 2, step=2) == whole[8:]
    parts = [drawn(sampler(size=2, rank=rank, world=2), 2) for rank in range(2)]
    assert sorted(parts[0] + parts[1]) == sorted(whole)
    earlier = (Stretch(4, False, 1, 1, 2, 4),)
    rest = drawn(sampler(size=3), 2, earlier=earlier)
    assert sorted(whole[:8] + rest) == sorted(whole)


def test_another_balance_is_another_order():
    assert sampler(1.0).identity != sampler(0.5).identity
    assert sampler().identity != EpochSampler([16], 4, seed=3).identity


def test_a_class_that_is_missing_or_no_class_is_named():
    with pytest.raises(UserError, match=r"rows\[1\] has no label; did you mean labell"):
        sampler(rows=[{"label": "a"}, {"labell": "b"}])
    with pytest.raises(UserError, match=r"rows\[0\] has a list of label, expected one class"):
        sampler(rows=[{"label": ["a"]}])
    with pytest.raises(UserError, match="from 0 to 1, found 2"):
        Balance("label", 2.0)


def test_a_balanced_run_trains(tmp_path):
    trainer = make_trainer(tmp_path, max_epochs=1, limit_val_batches=0)
    trainer.fit(make_learner(), make_data(balance=Balance("speed")))
    assert trainer.global_step == 12


# ---- inputs that are lost ----------------------------------------------------------------------

TASKS = {"speed": Classification(["waves", "beats"], "speed")}
BOTH = {"waves": [1.0] * 8, "beats": [1.0] * 8, "speed": "fast"}


def test_a_sample_loses_inputs_as_often_as_asked_but_never_all():
    dropout = ModalityDropout({"waves": 0.4, "beats": 0.2}, TASKS, 0)
    lost = Counter()
    for index in range(4000):
        left = dropout(BOTH, 0, index)
        assert "speed" in left and ("waves" in left or "beats" in left)
        lost.update(BOTH.keys() - left.keys())
    both = 0.4 * 0.2 / 2  # of samples that would have lost both, half keep each
    assert lost["waves"] / 4000 == pytest.approx(0.4 - both, abs=0.03)
    assert lost["beats"] / 4000 == pytest.approx(0.2 - both, abs=0.03)
    always = ModalityDropout({"waves": 1.0, "beats": 1.0}, TASKS, 0)
    assert all(len(always(BOTH, 0, index)) == 2 for index in range(50))
    assert "waves" in always({"waves": [1.0], "speed": "fast"}, 0, 0)


def test_what_is_lost_depends_on_seed_epoch_and_index_alone():
    one, other = (ModalityDropout({"waves": 0.5}, TASKS, 7) for _ in range(2))
    numbers = [(epoch, index) for epoch in range(3) for index in range(30)]
    first = [sorted(one(BOTH, *number)) for number in numbers]
    assert first == [sorted(other(BOTH, *number)) for number in reversed(numbers)][::-1]
    assert first[:30] != first[30:60]


def test_wrong_inputs_and_probabilities_are_refused():
    with pytest.raises(UserError, match="no task reads 'wave'; did you mean waves"):
        ModalityDropout({"wave": 0.5}, TASKS, 0)
    with pytest.raises(UserError, match=r"waves: expected a number from 0 to 1, found 1\.5"):
        ModalityDropout({"waves": 1.5}, TASKS, 0)


def test_training_batches_lose_inputs_and_others_do_not():
    learner, data = make_learner(), make_data(modality_dropout={"waves": 0.9})
    learner.fit_components(data)
    learner.build_components()
    data.connect(learner.tokenizers, learner.tasks)

    def read(loader):
        names = (m for b in loader for m in b.task_batches["speed"].modalities)
        return Counter(names)

    whole = read(data.val_dataloader()[0])
    assert whole["waves+beats"] == 32
    trained = read(data.train_dataloader())
    assert trained["waves+beats"] < 16 and trained["waves"] == 32
