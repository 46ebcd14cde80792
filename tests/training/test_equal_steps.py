"""A step learns the same however it is cut: accumulated, in several processes, or both."""

import logging
from functools import partial

import pytest
import torch
from lightning.pytorch.callbacks import Callback, GradientAccumulationScheduler
from toys import make_data, make_learner, make_trainer

from benchmarks import equality
from unitf import UserError
from unitf.tasks import Classification
from unitf.training import RandomState
from unitf.training.callbacks.throughput import Throughput

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


def largest(one, other):
    names = [name for name in one if not name.startswith(equality.VALIDATION)]
    return max(float((one[name] - other[name]).detach().abs().max()) for name in names)


@pytest.mark.parametrize("name", ["NextToken", "Detection", "several tasks, absent modalities"])
def test_accumulated_batches_train_what_one_batch_trains(name):
    for last in (5, 1):  # the last step is incomplete
        whole = equality.train(equality.cases()[name](), equality.Cut(16), last)
        parts = equality.train(equality.cases()[name](), equality.Cut(4, 4), last)
        assert largest(whole, parts) <= 1e-6


@pytest.mark.slow
def test_processes_train_what_one_batch_trains(tmp_path):
    """17 samples on two processes, accumulated too: in the last step one of them has no sample."""
    names = ["several tasks, absent modalities", "Embedding", "Detection"]
    cuts = [equality.Cut(16), equality.Cut(8, 1, 2), equality.Cut(4, 2, 2)]
    whole, shared, both = (equality.run(names, cut, tmp_path) for cut in cuts)
    for key, weights in whole.items():
        assert largest(weights, shared[key]) <= 1e-6
        figures = [name for name in weights if name.startswith(equality.VALIDATION)]
        assert figures
        for figure in figures:
            torch.testing.assert_close(shared[key][figure], weights[figure], rtol=0, atol=1e-5)
        if key[0] == "Embedding":
            assert "compares the samples" in both[key]
        else:
            assert largest(weights, both[key]) <= 1e-6


class Losses(Callback):
    """The losses that are logged, and the samples and weights of each step."""

    def __init__(self):
        self.logged, self.steps, self.meter = [], [], Throughput()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.meter.count(batch, outputs)
        self.steps.append((trainer.global_step, batch.num_samples))
        if batch.ends_step:
            self.logged.append(float(trainer.callback_metrics["train/loss_step"]))


def trained(tmp_path, size, callbacks=(), **settings):
    """The losses and the weights of the toy of 90 samples in an epoch."""
    torch.manual_seed(0)
    learner, data = make_learner(), make_data(batch_size=size, seed=3)
    learner.optimizer = partial(torch.optim.SGD, lr=0.3)
    losses = Losses()
    callbacks = [RandomState(), losses, *callbacks]
    settings = {"max_epochs": 2, "limit_val_batches": 0, **settings}
    trainer = make_trainer(tmp_path, callbacks=callbacks, **settings)
    trainer.fit(learner, datamodule=data)
    epoch = float(trainer.callback_metrics["train/loss_epoch"])
    return losses, epoch, dict(learner.named_parameters())


def test_the_logged_losses_are_those_of_steps(tmp_path):
    whole, epoch, weights = trained(tmp_path, 20)
    parts, parts_epoch, others = trained(tmp_path, 5, accumulate_grad_batches=4)
    assert len(whole.logged) == len(parts.logged) == 10
    assert parts.logged == pytest.approx(whole.logged, abs=1e-5)
    assert parts_epoch == pytest.approx(epoch, abs=1e-5)
    assert parts.meter.loss == pytest.approx(whole.meter.loss, abs=1e-5)
    assert parts.meter.steps == 10
    assert largest(weights, others) <= 1e-6


def test_a_scheduled_accumulation_trains_what_its_steps_are(tmp_path):
    schedule = GradientAccumulationScheduler({0: 1, 1: 4})
    parts, *_ = trained(tmp_path, 5, [schedule])
    assert parts.meter.steps == 20 + 5
    assert parts.logged[-1] < 0.8  # of two classes


def test_the_schedule_has_the_steps_of_a_scheduled_accumulation(tmp_path):
    learner, data = make_learner(), make_data(batch_size=5)
    schedule = GradientAccumulationScheduler({0: 1, 1: 4})
    for most, expected in ((-1, 20 + 5 + 5), (12, 12)):
        trainer = make_trainer(tmp_path, callbacks=[schedule], max_epochs=3, max_steps=most)
        trainer.fit(learner, datamodule=data)
        [config] = trainer.lr_scheduler_configs
        assert config.scheduler.total_steps == trainer.global_step == expected


@pytest.mark.parametrize("scheduled", [True, False])
def test_a_contrastive_task_refuses_accumulation(tmp_path, scheduled):
    case = equality.cases()["Embedding"]()
    learner = make_learner()
    learner.tasks.update(case.tasks)
    settings = {"accumulate_grad_batches": 2}
    if scheduled:
        settings = {"callbacks": [GradientAccumulationScheduler({3: 2})]}
    trainer = make_trainer(tmp_path, max_epochs=1, **settings)
    with pytest.raises(UserError, match=r"found 2, expected 1, because the task task \(Embedding"):
        trainer.fit(learner, datamodule=make_data())


class Mistaken(Classification):
    """It has two losses a sample, and does not say so."""

    def losses(self, output, batch, tokenizers):
        return super().losses(output, batch, tokenizers).repeat(2)


def test_a_task_that_states_a_wrong_number_of_losses_is_named(tmp_path):
    learner = make_learner()
    learner.tasks["speed"] = Mistaken(["waves", "beats"], "speed")
    settings = {"max_steps": 1, "limit_val_batches": 0}
    make_trainer(tmp_path, **settings).fit(learner, make_data())  # one batch: it is known
    trainer = make_trainer(tmp_path, accumulate_grad_batches=2, **settings | {"max_steps": 2})
    with pytest.raises(UserError, match=r"returned 16 losses, but Mistaken\.num_losses said 8"):
        trainer.fit(learner, make_data())


def test_without_a_trainer_a_batch_is_a_whole_step():
    data, learner = make_data(batch_size=10), make_learner()
    learner.fit_components(data)
    learner.build_components()
    data.connect(learner.tokenizers, learner.tasks)
    batch = next(iter(data.train_dataloader()))
    assert batch.task_batches["speed"].step is None and batch.ends_step
    losses = learner._losses(batch, learner(batch))["speed"]
    torch.testing.assert_close(learner.total_loss(batch, {"speed": losses}), losses.mean())
