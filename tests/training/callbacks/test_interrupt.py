"""Interrupt: each signal that ends a run saves it first, and a line says so in every phase."""

import csv
import os
import signal
import subprocess

import pytest
import torch
from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.pytorch.callbacks import Callback
from small_runs import small_data
from toys import make_learner, make_trainer

from unitf.training.callbacks import Checkpoint
from unitf.training.callbacks.csv_logger import ContinuedCSVLogger
from unitf.training.callbacks.interrupt import SIGNALS, Interrupt, RunInterrupted, _requeue

pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec.*:FutureWarning")


@pytest.fixture(autouse=True)
def not_under_nohup():
    """A test run that was begun with `nohup` ignores SIGHUP, and Interrupt respects that."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


class Signalled(Callback):
    """Sends signals to this process in the third step, or in a batch of an evaluation."""

    def __init__(self, *numbers):
        self.numbers = numbers

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 2:
            for number in self.numbers:
                os.kill(os.getpid(), number)

    def on_test_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        for number in self.numbers:
            os.kill(os.getpid(), number)


def trainer_of(folder, *callbacks):
    return make_trainer(
        folder,
        callbacks=list(callbacks),
        max_epochs=1,
        num_sanity_val_steps=0,
        enable_checkpointing=True,
    )


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_a_signal_saves_and_ends_a_run_between_two_steps(tmp_path, number):
    trainer = trainer_of(tmp_path, Checkpoint(), Signalled(number), Interrupt())
    before = [signal.getsignal(each) for each in SIGNALS]
    with pytest.raises(RunInterrupted, match="after step 3, nothing is lost; go on") as ended:
        trainer.fit(make_learner(), datamodule=small_data())
    assert signal.Signals(number).name in str(ended.value)
    assert ended.value.exit_status == 128 + number
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 3
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_the_step_after_which_a_signal_ends_a_run_is_logged(tmp_path):
    trainer = trainer_of(tmp_path, Checkpoint(), Signalled(signal.SIGTERM), Interrupt())
    trainer.log_every_n_steps = 1
    trainer.loggers = [ContinuedCSVLogger(str(tmp_path))]
    with pytest.raises(RunInterrupted, match="after step 3"):
        trainer.fit(make_learner(), datamodule=small_data())
    with (tmp_path / "metrics.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row.get("train/loss_step")]
    assert [row["step"] for row in rows] == ["0", "1", "2"]


def test_a_scheduler_may_send_a_signal_twice(tmp_path):
    twice = Signalled(signal.SIGTERM, signal.SIGTERM)
    with pytest.raises(RunInterrupted, match="after step 3"):
        trainer_of(tmp_path, Checkpoint(), twice, Interrupt()).fit(
            make_learner(), datamodule=small_data()
        )


def test_a_run_that_nohup_started_does_not_hear_that_the_terminal_is_gone(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        trainer = trainer_of(tmp_path, Checkpoint(), Signalled(signal.SIGHUP), Interrupt())
        trainer.fit(make_learner(), datamodule=small_data())
        assert trainer.global_step == 6
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_test_at_once_and_says_that_the_training_is_complete(tmp_path, number):
    learner, data = make_learner(), small_data()
    interrupt = Interrupt()
    trainer = trainer_of(tmp_path, Checkpoint(), interrupt)
    trainer.fit(learner, datamodule=data)
    trainer.callbacks.append(Signalled(number))
    with pytest.raises(RunInterrupted, match="during test; the training is complete") as ended:
        trainer.test(learner, datamodule=data, verbose=False)
    assert ended.value.exit_status == 128 + number


def test_a_run_without_checkpoints_writes_none(tmp_path):
    trainer = trainer_of(tmp_path, Signalled(signal.SIGTERM), Interrupt(saves=False))
    with pytest.raises(RunInterrupted, match="keeps no checkpoints"):
        trainer.fit(make_learner(), datamodule=small_data())
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("number", "job", "expected"),
    [
        (signal.SIGUSR1, {"SLURM_JOB_ID": "17"}, [["scontrol", "requeue", "17"]]),
        (
            signal.SIGUSR1,
            {"SLURM_JOB_ID": "17", "SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "2"},
            [["scontrol", "requeue", "5_2"]],
        ),
        (signal.SIGTERM, {"SLURM_JOB_ID": "17"}, []),
        (signal.SIGUSR1, {"SLURM_JOB_ID": "17; rm"}, []),
    ],
)
def test_a_job_of_slurm_is_queued_again_after_its_signal(monkeypatch, number, job, expected):
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda words, check: calls.append(words))
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    _requeue(SLURMEnvironment(), number)
    assert calls == expected
