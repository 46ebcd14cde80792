"""Interrupt: Ctrl-C and a request to terminate end a run between two steps, and lose nothing."""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class RunInterrupted(Exception):  # noqa: N818 (not an error)
    """A run was ended by a signal; the message says how to go on."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_status = 128 + number  # as a shell has it


class Interrupt(Callback):
    """After SIGINT or SIGTERM: finishes the step, writes `last.ckpt` and raises RunInterrupted.

    A second signal ends the process at once.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.folder = folder
        self._received = 0
        self._before: dict[int, Any] = {}

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._listen()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._listen()

    def _listen(self) -> None:
        """Takes the place of Lightning's handler, which is set before: its exit status is 0."""
        if self._before or threading.current_thread() is not threading.main_thread():
            return  # only there may signals be handled
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return  # half a step cannot be resumed
        # a signal may reach one process alone, but they must leave together
        if not trainer.strategy.reduce_boolean_decision(self._received > 0, all=False):
            return
        last = self._run(trainer) / "checkpoints" / "last.ckpt"
        trainer.save_checkpoint(last, weights_only=False)
        raise self._interrupted(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A signal that came after the last step, when `last.ckpt` is written already."""
        if trainer.strategy.reduce_boolean_decision(self._received > 0, all=False):
            raise self._interrupted(trainer)

    def _run(self, trainer: Trainer) -> Path:
        return Path(self.folder or trainer.default_root_dir)

    def _interrupted(self, trainer: Trainer) -> RunInterrupted:
        return RunInterrupted(
            f"interrupted after step {trainer.global_step}, nothing is lost; "
            f"go on with: unitf fit --resume {self._run(trainer)}",
            self._received or signal.SIGTERM,
        )

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._restore()
