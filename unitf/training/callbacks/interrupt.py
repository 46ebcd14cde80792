"""Interrupt: SIGINT (Ctrl-C) and SIGTERM end a run between two steps, and nothing is lost."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TypeAlias

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.types import STEP_OUTPUT

_Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | None


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
    """Ends a run after SIGINT or SIGTERM.

    It finishes the step, writes `last.ckpt` and raises RunInterrupted. A second signal ends the
    process at once.

    Args:
        folder: the run's folder; by default the trainer's `default_root_dir`.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.folder: str | None = folder
        self._received = 0  # the number of the signal
        self._earlier_handlers: dict[int, _Handler] = {}

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Installs the signal handlers."""
        self._listen()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Installs the signal handlers, if there was no sanity check."""
        self._listen()

    def _listen(self) -> None:
        """Replaces Lightning's handler, which ends the process with exit status 0."""
        if self._earlier_handlers or threading.current_thread() is not threading.main_thread():
            return  # Python handles signals in the main thread only
        for number in (signal.SIGINT, signal.SIGTERM):
            self._earlier_handlers[number] = signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        self._restore()

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
        last = self._run_folder(trainer) / "checkpoints" / "last.ckpt"
        trainer.save_checkpoint(last, weights_only=False)
        raise self._interrupted(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Raises RunInterrupted for a signal after the last step, when `last.ckpt` is written."""
        if trainer.strategy.reduce_boolean_decision(self._received > 0, all=False):
            raise self._interrupted(trainer)

    def _run_folder(self, trainer: Trainer) -> Path:
        return Path(self.folder or trainer.default_root_dir)

    def _interrupted(self, trainer: Trainer) -> RunInterrupted:
        return RunInterrupted(
            f"interrupted after step {trainer.global_step}, nothing is lost; "
            f"go on with: unitf fit --resume {self._run_folder(trainer)}",
            self._received or signal.SIGTERM,
        )

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restores the earlier signal handlers."""
        self._restore()
