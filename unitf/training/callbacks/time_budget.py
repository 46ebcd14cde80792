"""TimeBudget: a training that is as long as fits into a given time."""

import logging
import math
import time
from typing import NamedTuple, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.types import STEP_OUTPUT

from unitf.training.callbacks.step_seconds import measured_step
from unitf.training.durations import clock, seconds_of
from unitf.training.optimization import WarmupCosine

_log: logging.Logger = logging.getLogger(__name__)
_VALIDATION = 0.4  # the time of a batch in validation, as a part of that of a training step
_PARTS = 10  # of a run that is shorter than so many epochs; each ends with a validation
_LATE, _EARLY = 1.03, 0.85  # parts of the limit between which a plan stays as it is
_LOOKS = 40  # how often a run looks at the clock


class Length(NamedTuple):
    """The length of a run.

    Args:
        steps: the number of optimizer steps.
        epochs: the number of epochs, if they are whole.
        interval: the number of batches between two validations, if epochs are not whole; None:
            as the recipe has it.
    """

    steps: int
    epochs: int | None
    interval: int | None

    @classmethod
    def of(cls, steps: float, per_epoch: int) -> "Length":
        """Returns the largest length of at most so many steps that ends with a validation."""
        if steps >= _PARTS * per_epoch:
            epochs = int(steps // per_epoch)
            return cls(epochs * per_epoch, epochs, None)
        interval = max(1, int(steps // _PARTS))
        return cls(interval * _PARTS, None, interval)

    def as_keys(self) -> dict[str, int | None]:
        """Returns the keys of the trainer that train so long."""
        if self.epochs is not None:
            return {"max_epochs": self.epochs}
        keys: dict[str, int | None] = {"max_epochs": -1, "max_steps": self.steps}
        if self.interval is not None:
            keys |= {"val_check_interval": self.interval, "check_val_every_n_epoch": None}
        return keys


class TimeBudget(Callback):
    """Makes a training, with its validations and the test after it, as long as fits into a time.

    Before the first step it measures one, and sets the number of steps; the learning rate falls to
    its end by then. `max_epochs` and `max_steps` of the trainer remain upper limits. If the machine
    becomes slower or faster on the way, the number of steps follows, which a line says. At the end
    a line names the keys that train so long again, whatever the time.

    Args:
        limit: the time, as 90s, 10m or 1h30m.
    """

    def __init__(self, limit: str) -> None:
        self.limit: str = limit
        self.seconds: float = seconds_of(limit, "TimeBudget.limit")
        self.begun_at: float = time.monotonic()
        self.length: Length | None = None
        self.most: float = math.inf  # steps that other limits allow
        self._spent_before = 0.0  # by the run that this one goes on from
        self._in_validation = 0.0
        self._validations = 0
        self._validating_since = 0.0
        self._training_since = 0.0
        self._steps_before = 0

    # ---- the plan ----------------------------------------------------------------------

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measures a step and plans the run."""
        step = _agreed(trainer, measured_step(trainer, pl_module))
        self._steps_before, self._training_since = trainer.global_step, time.monotonic()
        by_epochs = (trainer.max_epochs or -1) * self._per_epoch(trainer)
        limits = [float(limit) for limit in (by_epochs, trainer.max_steps) if limit >= 0]
        self.most = min(limits, default=math.inf)
        validation = self._batches_of_validation(trainer) * step * _VALIDATION
        self._plan(trainer, step, validation)
        assert self.length is not None
        capped = "" if self.length.steps < self.most else ", the most that the recipe allows"
        _say(
            trainer,
            f"a step takes {step:.3f} s, so {self.length.steps:,} steps fit into {self.limit}"
            f"{capped} (--time)",
        )

    def _plan(self, trainer: Trainer, step: float, validation: float) -> None:
        """Sets the length of the run by the seconds of a step and of a validation."""
        left = self.seconds - self._spent(trainer) - self._test_seconds(trainer, validation)
        per_epoch = self._per_epoch(trainer)
        known = self.length
        interval = per_epoch if known is None or known.interval is None else known.interval
        if known is None and left / step < _PARTS * per_epoch:  # validated in parts
            left, interval = left - _PARTS * validation, per_epoch * 1_000_000
        more = max(1.0, left / (step + validation / interval))
        steps = float(min(self.most, trainer.global_step + more))
        if known is None and steps == self.most:  # the recipe is short enough
            epochs = trainer.max_epochs if steps == per_epoch * (trainer.max_epochs or 0) else None
            self.length = Length(int(steps), epochs, None)
        else:
            self._set(trainer, self._rounded(trainer, steps))

    def _rounded(self, trainer: Trainer, steps: float) -> Length:
        """Returns a length of about so many steps; a run keeps to its epochs, or its parts."""
        known, per_epoch = self.length, self._per_epoch(trainer)
        if known is None:
            return Length.of(steps, per_epoch)
        if known.interval is None:
            epochs = max(trainer.current_epoch + 1, int(steps // per_epoch))
            return Length(epochs * per_epoch, epochs, None)
        interval = known.interval
        if steps >= 2 * known.steps:  # validations as often as in a run that was planned so long
            interval = max(interval, int(steps // _PARTS))
        parts = max(trainer.global_step // interval + 1, int(steps // interval))
        return Length(parts * interval, None, interval)

    def _set(self, trainer: Trainer, length: Length) -> None:
        """Gives the loops and the schedule another length."""
        self.length = length
        if length.epochs is not None:
            trainer.fit_loop.max_epochs = length.epochs
        else:
            trainer.fit_loop.max_epochs = -1
            trainer.fit_loop.epoch_loop.max_steps = length.steps
            trainer.val_check_batch = length.interval
            trainer.check_val_every_n_epoch = None
        for settings in trainer.lr_scheduler_configs:
            if hasattr(settings.scheduler, "set_total_steps"):
                cast(WarmupCosine, settings.scheduler).set_total_steps(length.steps)

    # ---- the clock ---------------------------------------------------------------------

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Looks at the clock now and then, and plans anew if the run would end late or early."""
        if self.length is None or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        step, left = trainer.global_step, self.length.steps - trainer.global_step
        # a short plan too: its one measured step may have been a slow one
        between = max(1, min(10, self.length.steps // 4), self.length.steps // _LOOKS)
        if left <= 0 or step % between:
            return
        step_seconds, validation = self._measured(trainer)
        interval = self.length.interval or self._per_epoch(trainer)
        end = self._spent(trainer) + left * (step_seconds + validation / interval)
        end += self._test_seconds(trainer, validation)
        before = self.length
        late = end > _LATE * self.seconds
        early = end < _EARLY * self.seconds and before.steps < self.most
        if not late and not early:
            return
        self._plan(trainer, step_seconds, validation)
        if self.length.steps != before.steps:
            pace = "slower" if late else "faster"
            text = (
                f"steps are {pace} than before: {self.length.steps:,} instead of {before.steps:,}"
            )
            _say(trainer, text)

    def _measured(self, trainer: Trainer) -> tuple[float, float]:
        """Returns the seconds of a step so far, and of a validation."""
        done = max(1, trainer.global_step - self._steps_before)
        seconds = time.monotonic() - self._training_since - self._in_validation
        step = _agreed(trainer, seconds / done)
        if not self._validations:
            return step, self._batches_of_validation(trainer) * step * _VALIDATION
        return step, _agreed(trainer, self._in_validation / self._validations)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock of a validation."""
        self._validating_since = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops the clock of a validation."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._in_validation += time.monotonic() - self._validating_since
            self._validations += 1

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Says how long the run was, and the keys that train so long again."""
        if self.length is None:
            return
        steps, spent = trainer.global_step, clock(self._spent(trainer))
        keys = ", ".join(f"trainer.{key} {value}" for key, value in self.length.as_keys().items())
        if steps < self.length.steps:
            _say(
                trainer, f"ended early, after {steps:,} of {self.length.steps:,} steps and {spent}"
            )
        else:
            capped = "" if steps < self.most else ", the most that the recipe allows"
            _say(trainer, f"{steps:,} steps in {spent} of {self.limit}{capped}; again by {keys}")

    def _spent(self, trainer: Trainer) -> float:
        return _agreed(trainer, self._spent_before + time.monotonic() - self.begun_at)

    def _per_epoch(self, trainer: Trainer) -> int:
        return max(1, math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches))

    @staticmethod
    def _batches_of_validation(trainer: Trainer) -> float:
        return float(sum(n for n in trainer.num_val_batches if math.isfinite(n)))

    @staticmethod
    def _test_seconds(trainer: Trainer, validation: float) -> float:
        """Returns how long a test takes that is as fast as the validation."""
        data = vars(trainer)["datamodule"]  # which Lightning does not declare
        validated = sum(map(len, data.samples("validation").values()))
        tested = sum(len(s) for split in data.test_splits for s in data.samples(split).values())
        return validation * tested / validated if validated else 0.0

    # ---- what a checkpoint holds -------------------------------------------------------

    def state_dict(self) -> dict[str, float]:
        """Returns the time that was spent."""
        return {"spent": self._spent_before + time.monotonic() - self.begun_at}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Goes on with the time that is left."""
        self._spent_before = float(state_dict["spent"])


def _agreed(trainer: Trainer, seconds: float) -> float:
    """Returns the seconds of the first process, by which all of them plan the same."""
    return seconds if trainer.world_size == 1 else float(trainer.strategy.broadcast(seconds))


def _say(trainer: Trainer, line: str) -> None:
    if trainer.is_global_zero:
        _log.warning("time: %s", line)
