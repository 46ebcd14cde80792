"""Two processes that share the samples learn what one process learns."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = Path(__file__).parents[2] / "configs" / "quickstart.yaml"
STEPS = 4


def losses(folder, *options):
    """The training losses of the quickstart's first steps, without what a process draws alone."""
    steps = ["--trainer.max_steps", str(STEPS), "--trainer.max_epochs", "-1"]
    quiet = ["--trainer.limit_val_batches", "1", "--test_after_fit", "false"]
    every = ["--model.core.dropout", "0", "--trainer.log_every_n_steps", "1"]
    command = [sys.executable, "-m", "unitf", "fit", "--config", str(RECIPE), "--out", str(folder)]
    subprocess.run(
        [*command, *steps, *quiet, *every, *options], check=True, timeout=300, capture_output=True
    )
    with (folder / "metrics.csv").open(newline="") as lines:
        told = [row.get("train/loss_step") for row in csv.DictReader(lines)]
    return [float(loss) for loss in told if loss]


@pytest.mark.slow
def test_two_processes_train_the_quickstart_as_one_does(tmp_path):
    one = losses(tmp_path / "one")
    shared = ["--data.batch_size", "32", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    two = losses(tmp_path / "two", *shared)
    assert len(one) == STEPS and len(set(one)) == STEPS
    assert two == pytest.approx(one, abs=1e-5)
