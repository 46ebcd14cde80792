"""Checkpoint: the best and the last state of a run, whole at every instant."""

import inspect
import os
import subprocess
import sys

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from small_runs import STEPS, Cut, CutError, small_data
from toys import make_learner, make_trainer

import unitf
from unitf import Learner, UserError
from unitf.checkpoints import atomic
from unitf.training import RandomState
from unitf.training.callbacks import AtomicCheckpointIO, Checkpoint

# Lightning 2.6 uses what torch 2.12 calls old
pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec.*:FutureWarning")


class AttentionRecorder(Callback):
    """Keeps what was validated after each epoch."""

    def __init__(self):
        self.figures = []

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            self.figures.append(float(trainer.callback_metrics["validation/speed/accuracy"]))


def fit(folder, keeper, resume=None, others=(), **settings):
    torch.manual_seed(0)
    learner, recorder = make_learner(), AttentionRecorder()
    trainer = make_trainer(
        folder,
        callbacks=[recorder, *others, keeper, RandomState()],
        enable_checkpointing=True,
        **{"max_epochs": 3, "num_sanity_val_steps": 1, **settings},
    )
    trainer.fit(learner, datamodule=small_data(), ckpt_path=resume, weights_only=True)
    return learner, trainer, recorder.figures


def step_of(path):
    return torch.load(path, weights_only=True)["global_step"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of three epochs: its Checkpoint, Learner, Trainer and figures."""
    folder = tmp_path_factory.mktemp("whole")
    keeper = Checkpoint(str(folder))
    return keeper, *fit(folder, keeper)


def test_best_is_where_the_tasks_own_figure_was_best_and_last_is_the_end(whole):
    keeper, _, trainer, figures = whole
    assert (keeper.monitor, keeper.mode) == ("validation/speed/accuracy", "max")
    assert len(figures) == 3
    assert keeper.best_model_score == max(figures)
    assert keeper.best_epoch == figures.index(max(figures))
    assert step_of(keeper.last_path) == trainer.global_step == 3 * STEPS
    assert step_of(keeper.best_path) == keeper.best_step
    assert keeper.best_step == STEPS * (keeper.best_epoch + 1)
    assert {file.name for file in keeper.folder.iterdir()} == {"best.ckpt", "last.ckpt"}


def test_the_best_file_measures_what_was_the_best(whole, tmp_path):
    keeper = whole[0]
    learner = Learner.of(unitf.load(keeper.best_path))
    make_trainer(tmp_path).validate(learner, datamodule=small_data(), verbose=False)
    assert learner.results["validation"] == keeper.best_results
    assert keeper.best_results["speed"]["all"]["accuracy"] == keeper.best_model_score


def test_a_figure_that_nothing_logs_is_told_with_those_that_there_are(tmp_path):
    with pytest.raises(UserError, match=r"nothing logs 'validation/acc'.*validation/speed/f1"):
        fit(tmp_path, Checkpoint(str(tmp_path), monitor="validation/acc"))


def test_without_validation_the_best_is_the_last(tmp_path):
    keeper = Checkpoint(str(tmp_path))
    fit(tmp_path, keeper, limit_val_batches=0)
    assert step_of(keeper.best_path) == step_of(keeper.last_path) == 3 * STEPS


def test_a_resumed_run_keeps_a_best_that_it_does_not_beat(tmp_path):
    fit(tmp_path, Checkpoint(str(tmp_path)), max_epochs=1)
    last = tmp_path / "checkpoints/last.ckpt"
    state = torch.load(last, weights_only=True)
    (key,) = [key for key in state["callbacks"] if key.startswith("Checkpoint")]
    state["callbacks"][key]["best_model_score"] = 2.0  # unbeatable
    torch.save(state, last)
    keeper = Checkpoint(str(tmp_path))
    fit(tmp_path, keeper, resume=last)
    assert keeper.best_model_score == 2.0
    assert step_of(keeper.best_path) == 6
    assert step_of(keeper.last_path) == 3 * STEPS


def test_validations_within_an_epoch_are_judged_too(tmp_path):
    keeper = Checkpoint(str(tmp_path), monitor="validation/loss")
    fit(tmp_path, keeper, max_epochs=1, val_check_interval=2)
    assert keeper.mode == "min"
    assert keeper.best_step == 6  # the loss falls: steps 2, 4, 6
    assert step_of(keeper.last_path) == 6


@pytest.mark.parametrize(
    "settings",
    [
        {"max_epochs": 5, "check_val_every_n_epoch": 2},
        {"max_epochs": 1, "val_check_interval": 4},
    ],
    ids=["every second epoch", "within an epoch"],
)
def test_weights_that_nobody_validated_are_not_the_best(tmp_path, settings):
    keeper = Checkpoint(str(tmp_path), monitor="validation/loss")
    fit(tmp_path, keeper, num_sanity_val_steps=0, **settings)
    model = Learner.of(unitf.load(keeper.best_path))
    trainer = make_trainer(tmp_path)
    trainer.validate(model, datamodule=small_data(), verbose=False)
    found = float(trainer.callback_metrics["validation/loss"])
    assert found == pytest.approx(keeper.best_model_score, abs=1e-5)
    assert keeper.best_step < step_of(keeper.last_path)


class Saves(Callback):
    """Counts the checkpoints that are written, by step."""

    def __init__(self):
        self.steps = []

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        self.steps.append(trainer.global_step)


def test_last_is_written_every_so_many_minutes_and_never_within_a_step(tmp_path):
    saves = Saves()
    keeper = Checkpoint(str(tmp_path), every_minutes=0.0)
    fit(tmp_path, keeper, others=[saves], max_epochs=1, accumulate_grad_batches=3)
    assert saves.steps == [1, 2, 2]  # after each step, and at the end of the epoch
    saves = Saves()
    fit(tmp_path, Checkpoint(str(tmp_path)), others=[saves], max_epochs=1)
    assert saves.steps == [6]


def test_a_run_goes_on_from_last_as_if_nothing_had_happened(whole, tmp_path):
    _, learner, _, figures = whole
    first = Checkpoint(str(tmp_path))
    with pytest.raises(CutError):
        fit(tmp_path, first, others=[Cut(epoch=2)])
    again, _, rest = fit(tmp_path, Checkpoint(str(tmp_path)), first.last_path)
    assert figures[2:] == rest
    for name, weights in learner.state_dict().items():
        if isinstance(weights, torch.Tensor):
            assert torch.equal(weights, again.state_dict()[name]), name


def test_what_a_killed_writer_left_is_removed(tmp_path):
    left = tmp_path / "checkpoints" / ".last.1234.part.ckpt"
    left.parent.mkdir()
    left.write_bytes(b"half")
    fit(tmp_path, Checkpoint(str(tmp_path)), max_epochs=1)
    assert not left.exists()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "last.ckpt"
    writer = AtomicCheckpointIO()
    writer.save_checkpoint({"step": 1}, path)
    with pytest.raises(Exception, match="pickle"):
        writer.save_checkpoint({"step": torch.zeros(10), "bad": lambda: 0}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


# a parent that imports once (and no more than it must), and forks a writer for every kill
KILLED = """
import os, random, runpy, signal, sys, time
from pathlib import Path
import torch

replacing = runpy.run_path(sys.argv[1])["replacing"]
path = Path(sys.argv[2])
content = {"weights": torch.arange(200_000), "step": 0}
steps, parts = [], 0
with replacing(path) as part:
    torch.save(content, part)
for kill in range(10):
    child = os.fork()
    if child == 0:
        while True:
            content["step"] += 1
            with replacing(path) as part:
                torch.save(content, part)
    time.sleep(0.05 + random.random() * 0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    parts += len(list(path.parent.glob(".*.part.ckpt")))
    found = torch.load(path, weights_only=True)
    assert torch.equal(found["weights"], content["weights"])
    steps.append(found["step"])
print(sum(steps), parts)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_writer_killed_at_any_instant_leaves_a_whole_file(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", KILLED, inspect.getfile(atomic), str(tmp_path / "last.ckpt")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    written, parts = map(int, run.stdout.split())
    assert written > 10  # the writers did write
    assert parts > 0  # and some were killed in the midst of it


class Saved(Callback):
    """Keeps which file each save wrote, and how many batches of the step were done."""

    def __init__(self):
        self.saves = []

    def setup(self, trainer, pl_module, stage):
        save = trainer.save_checkpoint

        def noting(path, **options):
            self.saves.append((path.stem, trainer.fit_loop.epoch_loop.batch_progress.current.ready))
            save(path, **options)

        trainer.save_checkpoint = noting


def test_after_a_validation_within_a_step_the_last_state_is_that_of_its_end(tmp_path):
    """A run that went on from within a step counted its batches and its validation twice."""
    saved = Saved()
    keeper = Checkpoint(str(tmp_path), monitor="validation/loss", mode="max")  # it falls: once best
    fit(tmp_path, keeper, others=[saved], accumulate_grad_batches=2, val_check_interval=1,
        max_epochs=1)  # fmt: skip
    assert saved.saves[0] == ("best", 1)
    within = [ready for name, ready in saved.saves if name == "last" and ready < STEPS]
    assert within and not any(ready % 2 for ready in within)
