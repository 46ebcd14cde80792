"""Progress: how far a run is, how fast, how good so far, and how long it will take."""

import math
import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar

from unitf.training.callbacks.throughput import Throughput


class Progress(TQDMProgressBar):
    """A bar in a terminal; everywhere one line for every validation, or every epoch without one.

    Speeds are of the training steps alone, over all processes.
    """

    def __init__(self, refresh_rate: int = 1) -> None:
        super().__init__(refresh_rate)
        self._bars = sys.stdout.isatty()
        self._meter = Throughput()
        self._begun_at = time.monotonic()
        self._begun_with = 0.0
        self._line_at_step = -1

    @property
    def is_enabled(self) -> bool:
        """Whether bars are shown: in the first process, unless the recipe turns them off."""
        return self._bars and super().is_enabled

    def on_train_start(self, trainer: Trainer, *rest: Any) -> None:
        super().on_train_start(trainer, *rest)
        self._begun_at, self._begun_with = time.monotonic(), _fraction_done(trainer)
        self._line_at_step = trainer.global_step
        self._meter.start()  # an epoch that was resumed in its midst is not started again

    def on_train_epoch_start(self, trainer: Trainer, *rest: Any) -> None:
        super().on_train_epoch_start(trainer, *rest)
        self._meter.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._meter.count(batch, outputs, trainer.accumulate_grad_batches)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._meter.stop()
        super().on_validation_start(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._write_line(trainer, pl_module)
            self._meter.start()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if self._line_at_step != trainer.global_step:  # no validation has written it
            self._meter.stop()
            self._write_line(trainer, pl_module)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """What stands behind the bar."""
        return {"loss": f"{self._meter.loss:.3f}", **self._speeds(trainer)}

    def _speeds(self, trainer: Trainer) -> dict[str, str]:
        samples, tokens = (rate * trainer.world_size for rate in self._meter.rates())
        speeds = {"samples/s": _short(samples), "tokens/s": _short(tokens)}
        left = self._seconds_left(trainer)
        return speeds if left is None else {**speeds, "left": _clock(left)}

    def _seconds_left(self, trainer: Trainer) -> float | None:
        done, gained = _fraction_done(trainer), _fraction_done(trainer) - self._begun_with
        if gained <= 0:
            return None
        return (time.monotonic() - self._begun_at) / gained * (1 - done)

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
    """The loss and each task's main figure on the validation split, as far as they are logged."""
    logged = trainer.callback_metrics
    tasks: Any = getattr(pl_module, "tasks", {})
    wanted = {"loss": "validation/loss"}
    for name, task in tasks.items():
        if task.monitor != "loss" or len(tasks) > 1:
            wanted[f"{name} {task.monitor}"] = f"validation/{name}/{task.monitor}"
    return {short: float(logged[key]) for short, key in wanted.items() if key in logged}


def _fraction_done(trainer: Trainer) -> float:
    """How much of the run is done, from 0 to 1; 0 where it has no end."""
    shares = [0.0]
    if trainer.max_steps > 0:
        shares.append(trainer.global_step / trainer.max_steps)
    batches = float(trainer.num_training_batches)
    if trainer.max_epochs and trainer.max_epochs > 0 and 0 < batches < math.inf:
        progress = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        shares.append((trainer.current_epoch + progress / batches) / trainer.max_epochs)
    return min(max(shares), 1.0)


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
