"""Progress: how far a run is, how fast, how good so far, and how much time is left."""

import math
import sys
import time

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.utilities.types import STEP_OUTPUT

from unitf.training.callbacks.throughput import Throughput
from unitf.training.results import tasks_of


class Progress(TQDMProgressBar):
    """Shows a bar in a terminal, and prints a line after each validation.

    Without validation there is a line after each epoch. Speeds are those of the training steps
    alone, over all processes.

    Args:
        refresh_rate: the number of batches between two updates of the bar; 0 turns all off.
    """

    def __init__(self, refresh_rate: int = 1) -> None:
        super().__init__(refresh_rate)
        self._bars = sys.stdout.isatty()
        self._meter = Throughput()
        self._started_at = time.monotonic()
        self._fraction_at_start = 0.0
        self._line_at_step = -1

    @property
    def is_enabled(self) -> bool:
        """Whether bars are shown: in the first process, unless the recipe turns them off."""
        return self._bars and super().is_enabled

    def on_train_start(self, trainer: Trainer, *rest: object) -> None:
        """Starts the bar and the meter."""
        super().on_train_start(trainer, *rest)
        self._started_at, self._fraction_at_start = time.monotonic(), _fraction_done(trainer)
        self._line_at_step = trainer.global_step
        self._meter.start()  # for a run that resumes within an epoch

    def on_train_epoch_start(self, trainer: Trainer, *rest: object) -> None:
        """Starts the meter for an epoch."""
        super().on_train_epoch_start(trainer, *rest)
        self._meter.start()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Counts a training step."""
        self._meter.count(batch, outputs)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops the meter, as speeds are those of training."""
        self._meter.stop()
        super().on_validation_start(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints a line, and starts the meter again."""
        super().on_validation_end(trainer, pl_module)
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._write_line(trainer, pl_module)
            self._meter.start()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints a line, unless a validation has printed one."""
        super().on_train_epoch_end(trainer, pl_module)
        if self._line_at_step != trainer.global_step:  # no validation has written it
            self._meter.stop()
            self._write_line(trainer, pl_module)

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Returns what is shown beside the bar: the loss, speeds, and the time left."""
        return {"loss": f"{self._meter.loss:.3f}", **self._speeds(trainer)}

    def _speeds(self, trainer: Trainer) -> dict[str, str]:
        samples, tokens = (rate * trainer.world_size for rate in self._meter.rates())
        speeds = {"samples/s": _short(samples), "tokens/s": _short(tokens)}
        left = self._seconds_left(trainer)
        return speeds if left is None else {**speeds, "left": _clock(left)}

    def _seconds_left(self, trainer: Trainer) -> float | None:
        done, gained = _fraction_done(trainer), _fraction_done(trainer) - self._fraction_at_start
        if gained <= 0:
            return None
        return (time.monotonic() - self._started_at) / gained * (1 - done)

    def _write_line(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._line_at_step = trainer.global_step
        parts = [_progress(trainer), f"loss {self._meter.loss:.4f}"]
        if metrics := validation_metrics(trainer, pl_module):
            text = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
            parts.append(f"validation: {text}")
        speeds = self._speeds(trainer)
        parts.append(f"{speeds.pop('samples/s')} samples/s, {speeds.pop('tokens/s')} tokens/s")
        parts += [f"{left} left" for left in speeds.values()]
        self._meter.reset()
        if not trainer.is_global_zero or self.refresh_rate == 0:
            return
        line = " | ".join(parts)
        if self.is_enabled:
            self.print(line)
        else:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def validation_metrics(trainer: Trainer, pl_module: LightningModule) -> dict[str, float]:
    """Returns the loss and the main metric of each task on the validation split, if logged."""
    logged = trainer.callback_metrics
    tasks = tasks_of(pl_module)
    wanted = {"loss": "validation/loss"}
    for name, task in tasks.items():
        if task.monitor != "loss" or len(tasks) > 1:
            wanted[f"{name} {task.monitor}"] = f"validation/{name}/{task.monitor}"
    return {short: float(logged[key]) for short, key in wanted.items() if key in logged}


def _fraction_done(trainer: Trainer) -> float:
    """Returns how much of the run is done, from 0 to 1; 0 if the run has no end."""
    fractions = [0.0]
    if trainer.max_steps > 0:
        fractions.append(trainer.global_step / trainer.max_steps)
    batches = float(trainer.num_training_batches)
    if trainer.max_epochs and trainer.max_epochs > 0 and 0 < batches < math.inf:
        progress = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        fractions.append((trainer.current_epoch + progress / batches) / trainer.max_epochs)
    return min(max(fractions), 1.0)


def _progress(trainer: Trainer) -> str:
    if trainer.max_steps > 0:
        return f"step {trainer.global_step}/{trainer.max_steps}"
    epochs = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else "∞"
    progress = f"epoch {trainer.current_epoch + 1}/{epochs}"
    if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
        return progress
    return f"{progress}, step {trainer.global_step}"


def _short(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
