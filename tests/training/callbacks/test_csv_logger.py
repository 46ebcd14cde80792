"""ContinuedCSVLogger: a killed writer costs no row that was written before the checkpoint."""

import csv

import pytest

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
