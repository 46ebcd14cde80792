"""Watchdog: a run in which no process goes on ends, and the process that hangs is named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unitf.errors import UserError
from unitf.training import Watchdog
from unitf.training.parallel.heartbeat import hanging, heartbeat

TOYS = Path(__file__).parents[1] / "toys.py"
HANGS = """
import os, signal, time
from lightning.pytorch import Callback

class Hangs(Callback):
    def __init__(self, rank: int, stopped: bool):
        self.rank, self.stopped = rank, stopped

    def on_before_backward(self, trainer, *others):
        if trainer.global_rank == self.rank and trainer.global_step == 1:
            if self.stopped:
                os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(1000)
"""


def beat(batch, phase, waits=False, pid=7):
    said = heartbeat(0, 3, batch, phase)
    return type(said)(3, batch, phase, "node", pid, "mine.py:5 encode", waits)


def test_the_process_that_is_least_far_is_named():
    beats = {0: beat(4, 2), 1: beat(4, 1, pid=8), 2: beat(4, 2)}
    line = hanging(beats, 60.0)
    assert line == (
        "process 1 (host node, pid 8, training batch 4, last seen at mine.py:5 encode) has not "
        "gone on for 60 s, for which the others wait"
    )


def test_of_processes_that_are_equally_far_the_one_that_does_not_wait_is_named():
    beats = {0: beat(4, 4, waits=True), 1: beat(4, 4, pid=8), 2: beat(4, 4, waits=True)}
    assert "pid 8" in hanging(beats, 60.0) and "pid 7" not in hanging(beats, 60.0)


def test_a_process_that_never_spoke_is_named():
    assert hanging({0: beat(0, 0), 1: None}, 60.0).startswith("process 1 (which said nothing) has")


def test_all_are_named_where_all_wait():
    line = hanging({0: beat(1, 2, waits=True), 1: beat(1, 2, waits=True, pid=8)}, 60.0)
    assert "pid 7" in line and "pid 8" in line and "others" not in line


def test_a_time_that_ends_every_run_is_refused():
    with pytest.raises(UserError, match=r"timeout: found 0\.0, expected more than 0"):
        Watchdog(timeout=0.0)


@pytest.mark.slow
def test_all_processes_of_a_run_in_which_one_hangs_end(tmp_path):
    """A stopped first process, which holds the store, is the hardest case."""
    rank, stopped = 0, True
    (tmp_path / "hangs.py").write_text(HANGS)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"""
model:
  core: {{dim: 8, depth: 1, num_heads: 1}}
  tokenizers: {{waves: Waves, beats: Beats}}
  tasks:
    speed: {{class_path: Classification, init_args: {{inputs: [waves, beats], target: speed}}}}
data: {{sources: {{toy: {{class_path: Swings}}}}, batch_size: 8, num_workers: 0}}
trainer:
  max_steps: 4
  limit_val_batches: 0
  accelerator: cpu
  devices: 2
  strategy: ddp
  enable_progress_bar: false
  callbacks:
  - {{class_path: Watchdog, init_args: {{timeout: 4}}}}
  - {{class_path: Hangs, init_args: {{rank: {rank}, stopped: {str(stopped).lower()}}}}}
""")
    plugins = ["--plugin", str(TOYS), "--plugin", str(tmp_path / "hangs.py")]
    verb = ["fit", "--config", str(recipe), "--out", str(tmp_path / "run")]
    ended = subprocess.run(
        [sys.executable, "-m", "unitf", *plugins, *verb],
        capture_output=True,
        timeout=200,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode != 0, ended.stderr
    line = [line for line in ended.stderr.splitlines() if "has not gone on for 4 s" in line]
    assert len(line) == 1, ended.stderr
    assert f"process {rank} (host" in line[0]
    assert subprocess.run(["pgrep", "-f", str(recipe)], capture_output=True).returncode == 1
