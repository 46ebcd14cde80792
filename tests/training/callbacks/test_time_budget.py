"""A training that is as long as fits into a time."""

import logging
import time
from unittest.mock import MagicMock

import pytest
import torch
from lightning.pytorch import Trainer
from toys import Swings, make_learner, make_trainer

from unitf import UserError
from unitf.training import DataModule, RandomState
from unitf.training.callbacks.step_seconds import measured_step
from unitf.training.callbacks.time_budget import Length, TimeBudget
from unitf.training.durations import clock, seconds_of


def make_data() -> DataModule:
    return DataModule({"toy": Swings(48)}, batch_size=8, num_workers=0)


def fitted(folder, callbacks, **settings):
    torch.manual_seed(0)
    learner, data = make_learner(), make_data()
    trainer = make_trainer(folder, callbacks=[RandomState(), *callbacks], **settings)
    trainer.fit(learner, datamodule=data)
    return trainer, learner


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), ("2 M", 120)]
)
def test_durations_as_people_write_them(text, seconds):
    assert seconds_of(text, "--time") == seconds


@pytest.mark.parametrize("text", ["", "10", "ten minutes", "0s", "-5m"])
def test_what_is_no_duration_is_one_line(text):
    with pytest.raises(UserError, match=r"--time: found .* expected a duration such as 90s"):
        seconds_of(text, "--time")


def test_a_duration_is_said_in_words():
    assert [clock(s) for s in (4.4, 80.0, 4000.0)] == ["4 s", "1 min 20 s", "1 h 6 min"]


@pytest.mark.parametrize(
    ("steps", "per_epoch", "length"),
    [
        (130.0, 10, Length(130, 13, None)),
        (138.9, 10, Length(130, 13, None)),
        (99.0, 10, Length(90, None, 9)),
        (55.0, 1_000, Length(50, None, 5)),
        (3.0, 10, Length(10, None, 1)),
    ],
)
def test_a_length_ends_with_a_validation(steps, per_epoch, length):
    assert Length.of(steps, per_epoch) == length


def test_a_run_takes_the_time_that_it_has(tmp_path):
    begin = time.monotonic()
    budget = TimeBudget("4s")
    trainer, _ = fitted(tmp_path, [budget], max_epochs=-1)
    assert trainer.global_step == budget.length.steps > 10
    assert time.monotonic() - begin < 4 * 1.5  # a busy machine has a wide margin here
    assert trainer.lr_scheduler_configs[0].scheduler.total_steps == budget.length.steps


def test_the_limits_of_the_recipe_remain(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        trainer, _ = fitted(tmp_path, [TimeBudget("1h")], max_epochs=2)
    assert trainer.global_step == 2 * 6
    assert "the most that the recipe allows" in caplog.text


def test_the_keys_that_are_said_train_the_same(tmp_path):
    budget = TimeBudget("1h")
    _, one = fitted(tmp_path / "one", [budget], max_epochs=12)
    keys = budget.length.as_keys()
    assert keys == {"max_epochs": 12}
    _, other = fitted(tmp_path / "other", [], **keys)
    assert_same(one, other)


def test_a_number_of_steps_is_repeated_by_its_keys(tmp_path):
    budget = TimeBudget("1h")
    _, one = fitted(tmp_path / "one", [budget], max_steps=20, max_epochs=-1)
    assert budget.length == Length(20, None, None)
    _, other = fitted(tmp_path / "other", [], **budget.length.as_keys())
    assert_same(one, other)


def assert_same(one, other):
    for name, value in one.state_dict().items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, other.state_dict()[name]), name


def test_measuring_a_step_changes_nothing(tmp_path):
    class Measured(RandomState):
        def on_train_start(self, trainer, pl_module):
            assert measured_step(trainer, pl_module) > 0
            assert all(p.grad is None for p in pl_module.parameters())

    _, one = fitted(tmp_path / "one", [], max_epochs=2)
    _, other = fitted(tmp_path / "other", [Measured()], max_epochs=2)
    assert_same(one, other)


def test_a_run_that_becomes_slower_is_shortened_and_says_so(tmp_path, caplog):
    class Slower(RandomState):
        def on_train_batch_start(self, trainer, *rest):
            time.sleep(0.15)

    begin = time.monotonic()
    fitted(tmp_path, [TimeBudget("4s"), Slower()], max_epochs=-1)
    assert "steps are slower than before" in caplog.text
    assert time.monotonic() - begin < 4 * 1.5


def test_a_step_that_was_measured_far_too_slow_does_not_end_a_run(monkeypatch, caplog):
    budget = TimeBudget("1h")
    budget.length = Length(10, None, 1)
    monkeypatch.setattr(budget, "_measured", lambda trainer: (0.1, 0.0))
    monkeypatch.setattr(budget, "_test_seconds", lambda *_: 0.0)
    state = MagicMock(
        Trainer, num_training_batches=50, accumulate_grad_batches=1, lr_scheduler_configs=[]
    )
    state.world_size, state.fit_loop, steps = 1, MagicMock(), []
    for step in range(1, 10):
        state.global_step = step
        budget.on_train_batch_end(state, make_learner(), None, None, step - 1)
        steps.append(budget.length.steps)
    assert steps[0] == 10 < 30_000 < steps[1] < 36_100
    assert state.fit_loop.epoch_loop.max_steps == steps[-1]
    assert "steps are faster than before" in caplog.text


def test_a_plan_that_grows_has_as_many_validations_as_one_of_that_length():
    budget = TimeBudget("1h")
    budget.length = Length(10, None, 1)
    state = MagicMock(Trainer, global_step=4, num_training_batches=500, accumulate_grad_batches=1)
    assert budget._rounded(state, 2005.0) == Length(2000, None, 200)
    assert budget._rounded(state, 12.0) == Length(12, None, 1)


def test_a_run_that_goes_on_has_the_time_that_is_left():
    budget, other = TimeBudget("1h"), TimeBudget("1h")
    budget.begun_at -= 100
    other.load_state_dict(budget.state_dict())
    assert 100 <= other.state_dict()["spent"] < 110
