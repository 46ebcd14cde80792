"""Runs of a recipe, each in a process of its own: the trials of a search, the folds of a fit."""

import ctypes
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unitf import registry
from unitf.checkpoints.atomic import write_text
from unitf.cli.kept_recipe import NAME
from unitf.cli.notation import short_form
from unitf.cli.recipe_inputs import given_inputs
from unitf.cli.run_folder import RunFolder, is_finished
from unitf.cli.yaml_values import PlainDumper
from unitf.errors import UserError
from unitf.nn.reference_mode import is_reference_mode
from unitf.recognition.recipe_text import as_yaml
from unitf.training.durations import seconds_of

# keys that are of one run
_OF_THE_COMMAND = ("out", "time", "ckpt_path", "test_after_fit", "report")
_LOOKS = 1.0  # seconds between two looks at a run
_PATIENCE = 120.0  # seconds that a run has to write its last checkpoint
_DEATH_OF_PARENT = 1  # PR_SET_PDEATHSIG of Linux


def frozen_recipe(argv: Sequence[str]) -> dict[str, object]:
    """Returns one recipe of the files and options of a command line, in the long notation."""
    merged = given_inputs(argv, argv).merged
    return {key: value for key, value in merged.items() if key not in _OF_THE_COMMAND}


def write_recipe(folder: Path, recipe: Mapping[str, object], comment: str) -> None:
    """Writes the recipe of a run into its folder, in the short notation."""
    write_text(folder / NAME, as_yaml(short_form(recipe), (comment,), PlainDumper))


def budget_of(recipe: Mapping[str, Any]) -> float | None:
    """Returns the seconds of the TimeBudget of a recipe; None: it has none."""
    for callback in recipe.get("trainer", {}).get("callbacks") or []:
        if isinstance(callback, dict) and "TimeBudget" in str(callback.get("class_path")):
            return seconds_of(callback["init_args"]["limit"], "TimeBudget.limit")
    return None


@contextmanager
def without_warnings() -> Iterator[None]:
    """Hides lines that were said before: a recipe is read several times."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@dataclass(frozen=True)
class ChildRun:
    """A run of the recipe in its folder, as `unitf fit` in a process of its own.

    What it has done already is not repeated, and it ends if this process is killed.

    Args:
        folder: the folder of the run.
        options: further options of its command line.
        log: the file for what it prints; None: it prints to the terminal.
    """

    folder: Path
    options: Sequence[str] = ()
    log: Path | None = None

    def run(self, is_over: Callable[[], bool] | None = None) -> int:
        """Trains to the end, and returns the exit status of the process.

        Args:
            is_over: is asked now and then, and ends the run if it says so.
        """
        _wait_until_free(self.folder)
        if is_finished(self.folder):
            return 0
        if any((self.folder / "checkpoints").glob("*.ckpt")):
            words = ["fit", "--resume", str(self.folder)]
        else:
            recipe = str(self.folder / NAME)
            words = ["fit", "--config", recipe, "--out", str(self.folder), *self.options]
        return run_command(words, self.log, is_over)


def run_command(
    words: Sequence[str], log: Path | None = None, is_over: Callable[[], bool] | None = None
) -> int:
    """Runs `unitf` in another process, and returns its exit status.

    Args:
        words: the command line after `unitf`.
        log: the file for what it prints; None: it prints to the terminal.
        is_over: is asked now and then, and ends the process if it says so.
    """
    if log is None:
        return _waited(_started(words, None), is_over)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        return _waited(_started(words, file.fileno()), is_over)


def _started(words: Sequence[str], output: int | None) -> subprocess.Popen[bytes]:
    files = [word for file in registry.plugin_files() for word in ("--plugin", file)]
    plain = ["--plain"] if is_reference_mode() else []
    command = [sys.executable, "-m", "unitf", *files, *plain, *words]
    sys.stdout.flush()
    return subprocess.Popen(command, stdout=output, stderr=output, preexec_fn=_die_with_parent)


def _waited(process: subprocess.Popen[bytes], is_over: Callable[[], bool] | None) -> int:
    try:
        while _status(process, _LOOKS) is None:
            if is_over is not None and is_over():
                process.terminate()
                _status(process, _PATIENCE)
                break
    except KeyboardInterrupt:  # the process has received it too, and writes its last checkpoint
        _status(process, _PATIENCE)
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return process.returncode


def _status(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _die_with_parent() -> None:
    """Lets Linux send this process SIGTERM when its parent is killed; others let it go on."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DEATH_OF_PARENT, signal.SIGTERM)


def _wait_until_free(folder: Path) -> None:
    """Waits for the end of a run whose parent was killed."""
    is_said = False
    while True:
        lock = RunFolder()
        try:
            lock.lock(folder)
            return
        except UserError as error:
            if not is_said:
                sys.stderr.write(f"unitf: {error}; waiting for its end\n")
            is_said = True
            time.sleep(_LOOKS)
        finally:
            lock.release()


def last_line(log: Path) -> str:
    """Returns why a run failed: the last error that it printed, or else its last line."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("unitf: error:")]
    return (errors or lines or ["it printed nothing"])[-1].removeprefix("unitf: error:").strip()
