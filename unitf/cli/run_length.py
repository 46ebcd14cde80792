"""How long a run is: a number of epochs or steps, or what fits into a time."""

import logging
import os
from pathlib import Path
from typing import Protocol, runtime_checkable

from unitf.training.callbacks import TimeBudget

_log: logging.Logger = logging.getLogger(__name__)
USUAL_EPOCHS: int = 20


@runtime_checkable
class RunLength(Protocol):
    """The settings of a trainer that say how long it trains."""

    max_epochs: object
    max_steps: object
    max_time: object


@runtime_checkable
class HasCallbacks(Protocol):
    """The settings of a trainer with its callbacks."""

    callbacks: object


def set_length(settings: RunLength, time_limit: str | None) -> None:
    """Gives a recipe a length that has none: a number of epochs, or what fits into a time."""
    if settings.max_epochs is not None or settings.max_steps != -1 or settings.max_time is not None:
        return
    settings.max_epochs = -1 if time_limit is not None else USUAL_EPOCHS
    if time_limit is None:
        _log.warning("the training has %d epochs (trainer.max_epochs, or --time)", USUAL_EPOCHS)


def set_time(settings: HasCallbacks, time_limit: str | None, seconds_before: float) -> None:
    """Adds the callback of `--time`, and lets the time of a recipe begin with the command.

    Args:
        settings: the trainer's settings, with callbacks that are made.
        time_limit: the time of the command line, which replaces that of the recipe.
        seconds_before: how long the command runs already.
    """
    given = settings.callbacks
    callbacks = list(given) if isinstance(given, list) else []
    if time_limit is not None:
        callbacks = [c for c in callbacks if not isinstance(c, TimeBudget)]
        callbacks.append(TimeBudget(time_limit))
    for callback in callbacks:
        if isinstance(callback, TimeBudget):
            callback.begun_at -= seconds_before
    settings.callbacks = callbacks


def process_seconds() -> float:
    """Returns how long this process runs already; 0 where the system does not say."""
    try:
        begun = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        now = float(Path("/proc/uptime").read_text().split()[0])
        return max(0.0, now - begun / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return 0.0
