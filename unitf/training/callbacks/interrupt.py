"""Interrupt: a signal ends a run between two steps, and nothing is lost."""

import os
import re
import signal
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TypeAlias

from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.types import STEP_OUTPUT

from unitf import registry
from unitf.training.callbacks.csv_logger import log_step

_Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | None
# Ctrl-C; a scheduler, a lost terminal, and what clusters send some time before they end a job
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
SIGNALS: tuple[int, ...] = tuple(getattr(signal, n) for n in _NAMES if hasattr(signal, n))


class RunInterrupted(Exception):  # noqa: N818 (not an error)
    """A run was ended by a signal; the message says how to resume it.

    Args:
        message: what to tell the user.
        number: the number of the signal.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_status: int = 128 + number  # as in a shell


class Interrupt(Callback):
    """Ends a run after SIGINT, SIGTERM, SIGHUP, SIGUSR1 or SIGUSR2.

    It finishes the step, writes `last.ckpt` and raises RunInterrupted. A second Ctrl-C ends the
    process at once. A test, a validation or a prediction, which has nothing to save, ends at once.

    Args:
        folder: the run's folder; by default the trainer's `default_root_dir`.
        saves: whether `last.ckpt` is written.
    """

    def __init__(self, folder: str | None = None, saves: bool = True) -> None:
        self.folder: str | None = folder
        self.saves: bool = saves
        self._received = 0  # the number of the signal
        self._trained = False
        self._earlier_handlers: dict[int, _Handler] = {}

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Installs the signal handlers."""
        self._listen(self._receive)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Installs the signal handlers, if there was no sanity check."""
        self._listen(self._receive)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Installs the signal handlers of the verb `validate`."""
        self._listen_in_evaluation(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Installs the signal handlers of a test."""
        self._listen_in_evaluation(trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Installs the signal handlers of a prediction."""
        self._listen_in_evaluation(trainer)

    def _listen_in_evaluation(self, trainer: Trainer) -> None:
        verb = getattr(trainer.state.fn, "value", None)

        def end(number: int, frame: FrameType | None) -> None:
            _forget_terminal(number)
            self._restore()
            found = f"interrupted by {signal.Signals(number).name} during {verb}"
            go_on = f"{registry.invocation()} fit --resume {self._run_folder(trainer)}"
            trained = f"; the training is complete, go on with: {go_on}"
            raise RunInterrupted(found + (trained if self._trained else ""), number)

        if verb != "fit":
            self._listen(end)

    def _listen(self, handler: Callable[[int, FrameType | None], None]) -> None:
        """Replaces Lightning's handlers, which end a process with status 0, or not at all."""
        if self._earlier_handlers or threading.current_thread() is not threading.main_thread():
            return  # Python handles signals in the main thread only
        for number in SIGNALS:
            earlier = signal.getsignal(number)
            if number == signal.SIGINT or earlier != signal.SIG_IGN:  # nohup ignores SIGHUP
                self._earlier_handlers[number] = signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        _forget_terminal(number)
        # the next Ctrl-C ends the process; schedulers send the other signals more than once
        signal.signal(signal.SIGINT, self._earlier_handlers.pop(signal.SIGINT, signal.SIG_DFL))

    def _restore(self) -> None:
        for number, handler in self._earlier_handlers.items():
            signal.signal(number, handler)
        self._earlier_handlers = {}

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        """After a signal, saves `last.ckpt` and raises RunInterrupted."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return  # half a step cannot be resumed
        # a signal may reach one process only, but all must stop together
        if not trainer.strategy.reduce_boolean_decision(self._received > 0, all=False):
            return
        log_step(trainer)
        if self.saves:
            last = self._run_folder(trainer) / "checkpoints" / "last.ckpt"
            trainer.save_checkpoint(last, weights_only=False)
        raise self._interrupted(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Raises RunInterrupted for a signal after the last step, when `last.ckpt` is written."""
        self._trained = True
        if trainer.strategy.reduce_boolean_decision(self._received > 0, all=False):
            raise self._interrupted(trainer)

    def _run_folder(self, trainer: Trainer) -> Path:
        return Path(self.folder or trainer.default_root_dir)

    def _interrupted(self, trainer: Trainer) -> RunInterrupted:
        number = self._received or signal.SIGTERM  # another process received it
        step = f"interrupted by {signal.Signals(number).name} after step {trainer.global_step}"
        if not self.saves:
            return RunInterrupted(f"{step}; this run keeps no checkpoints", number)
        if trainer.is_global_zero and self._received:
            _requeue(trainer._accelerator_connector.cluster_environment, self._received)
        go_on = f"{registry.invocation()} fit --resume {self._run_folder(trainer)}"
        return RunInterrupted(f"{step}, nothing is lost; go on with: {go_on}", number)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restores the earlier signal handlers."""
        self._restore()


def _forget_terminal(number: int) -> None:
    """After SIGHUP the terminal is gone: what is still written to it goes nowhere, and no error."""
    if number != getattr(signal, "SIGHUP", None):
        return
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        try:
            if stat.S_ISCHR(os.fstat(stream).st_mode):
                os.dup2(nowhere, stream)
        except OSError:  # a closed one
            continue
    os.close(nowhere)


def _requeue(environment: object, number: int) -> None:
    """Puts a job of SLURM back into the queue after the signal for it, as Lightning does."""
    if not isinstance(environment, SLURMEnvironment) or not environment.auto_requeue:
        return
    array, job = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_JOB_ID", "")
    if array is not None:
        job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    if number == environment.requeue_signal and re.fullmatch("[0-9_]+", job):
        subprocess.run(["scontrol", "requeue", job], check=False)
