"""ContinuedCSVLogger: a killed writer costs no row that was written before the checkpoint."""

import csv

import pytest
from lightning.pytorch.callbacks import Callback
from small_runs import small_data
from toys import make_learner, make_trainer

from unitf.training.callbacks import Checkpoint
from unitf.training.callbacks.csv_logger import ContinuedCSVLogger


def rows_of(folder):
    with (folder / "metrics.csv").open(newline="") as lines:
        return [(int(row["step"]), row["loss"]) for row in csv.DictReader(lines)]


def log(logger, steps, **others):
    for step in steps:
        logger.log_metrics({"loss": step / 2, **others}, step)
        logger.save()


@pytest.fixture
def folder(tmp_path):
    log(ContinuedCSVLogger(str(tmp_path)), range(6))
    return tmp_path


def test_rows_before_the_checkpoint_stay_and_later_ones_go(folder):
    with (folder / "metrics.csv").open("a") as file:
        file.write("3")  # the run was killed while it wrote step 31, say
    log(ContinuedCSVLogger(str(folder), 4), [4, 5], validation=1.0)
    assert rows_of(folder) == [(step, str(step / 2)) for step in range(6)]


def test_a_new_run_begins_with_an_empty_file(folder):
    log(ContinuedCSVLogger(str(folder)), [0])
    assert rows_of(folder) == [(0, "0.0")]


@pytest.mark.parametrize("others", [{}, {"validation": 1.0}], ids=["go on", "another column"])
def test_a_kill_while_the_file_is_rewritten_costs_nothing(folder, monkeypatch, others):
    def killed(*arguments):
        raise KeyboardInterrupt

    logger = ContinuedCSVLogger(str(folder), 6)
    if others:  # the rows of before are there already
        assert logger.experiment.metrics_keys == ["loss", "step"]
    monkeypatch.setattr("csv.DictWriter.writerows", killed)
    with pytest.raises(KeyboardInterrupt):
        log(logger, [6], **others)
    monkeypatch.undo()
    assert rows_of(folder) == [(step, str(step / 2)) for step in range(6)]


class RowsAtSaving(Callback):
    """Remembers the last step that is logged whenever a checkpoint is written."""

    def __init__(self, folder):
        self.folder, self.steps = folder, []

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        with (self.folder / "metrics.csv").open(newline="") as lines:
            steps = [int(r["step"]) for r in csv.DictReader(lines) if r.get("train/loss_step")]
        self.steps.append((trainer.global_step, steps[-1], len(steps) - len(set(steps))))


@pytest.mark.filterwarnings("ignore:.*isinstance.treespec.*:FutureWarning")
def test_a_step_is_logged_once_and_before_the_checkpoint_that_holds_it(tmp_path):
    """A run that is killed right after the checkpoint goes on with the next step."""
    watch = RowsAtSaving(tmp_path)
    trainer = make_trainer(
        tmp_path,
        callbacks=[Checkpoint(every_minutes=0.0), watch],
        max_epochs=1,
        enable_checkpointing=True,
        log_every_n_steps=1,
        logger=ContinuedCSVLogger(str(tmp_path)),
    )
    trainer.fit(make_learner(), datamodule=small_data())
    assert {(step, step - 1, 0) for step in range(1, 7)} == set(watch.steps)


def test_a_validation_that_follows_a_checkpoint_once_more_is_one_row(folder):
    log(ContinuedCSVLogger(str(folder), 6), [5], validation=1.0)  # the step of the checkpoint
    log(ContinuedCSVLogger(str(folder), 6), [5], validation=1.0)
    assert [step for step, _ in rows_of(folder)] == [0, 1, 2, 3, 4, 5, 5]
