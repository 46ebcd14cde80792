"""Meter: how much was trained on, how fast, and how wrong it was."""

import math
import time
from typing import Any


class Throughput:
    """Counts samples, tokens, seconds and losses of training steps, between validations."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.samples = self.tokens = self.steps = 0
        self.seconds = 0.0
        self.losses: Any = 0.0  # on the device; nobody waits for it
        self.since: float | None = None

    def start(self) -> None:
        self.since = time.monotonic()

    def stop(self) -> None:
        if self.since is not None:
            self.seconds += time.monotonic() - self.since
        self.since = None

    def count(self, batch: Any, outputs: Any, accumulated: int) -> None:
        """One training step.

        Args:
            outputs: what Lightning hands to `on_train_batch_end`.
            accumulated: the batches of an optimizer's step, by which Lightning divides the loss.
        """
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        self.samples += getattr(batch, "num_samples", 0)
        self.tokens += getattr(batch, "num_tokens", 0)
        if loss is not None:
            self.steps += 1
            self.losses = self.losses + loss.detach() * accumulated

    @property
    def loss(self) -> float:
        return float(self.losses) / self.steps if self.steps else math.nan

    def rates(self) -> tuple[float, float]:
        running = time.monotonic() - self.since if self.since is not None else 0.0
        seconds = max(self.seconds + running, 1e-9)
        return self.samples / seconds, self.tokens / seconds
