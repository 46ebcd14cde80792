"""Throughput: samples, tokens, seconds and the loss of training steps."""

import math
import time
from collections.abc import Mapping

from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor


class Throughput:
    """Counts samples, tokens, seconds and losses of training steps, between validations."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Sets all counts to zero, and stops the clock."""
        self.samples: int = 0
        self.tokens: int = 0
        self.steps: int = 0
        self.seconds: float = 0.0
        # the losses stay on the device, so that no step waits for them
        self.losses: Tensor | float = 0.0
        self._parts: Tensor | float = 0.0  # of the step that is not yet complete
        self.since: float | None = None

    def start(self) -> None:
        """Starts the clock."""
        self.since = time.monotonic()

    def stop(self) -> None:
        """Stops the clock."""
        if self.since is not None:
            self.seconds += time.monotonic() - self.since
        self.since = None

    def count(self, batch: object, outputs: STEP_OUTPUT) -> None:
        """Counts one batch, whose loss is a part of that of its optimizer step.

        Args:
            batch: the batch of the step.
            outputs: what Lightning passes to `on_train_batch_end`.
        """
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        self.samples += getattr(batch, "num_samples", 0)
        self.tokens += getattr(batch, "num_tokens", 0)
        if loss is not None:
            self._parts = self._parts + loss.detach()
            if getattr(batch, "ends_step", True):
                self.steps += 1
                self.losses, self._parts = self.losses + self._parts, 0.0

    def state(self) -> dict[str, int | float]:
        """Returns the counts for a checkpoint; the clock is not in it."""
        return {
            "samples": self.samples,
            "tokens": self.tokens,
            "steps": self.steps,
            "losses": float(self.losses),
        }

    def load(self, state: Mapping[str, int | float]) -> None:
        """Goes on with counts that `state` returned."""
        self.samples, self.tokens = int(state["samples"]), int(state["tokens"])
        self.steps, self.losses = int(state["steps"]), state["losses"]

    @property
    def loss(self) -> float:
        """The mean loss of the counted steps; NaN if there are none."""
        return float(self.losses) / self.steps if self.steps else math.nan

    def rates(self) -> tuple[float, float]:
        """Returns samples per second and tokens per second."""
        running = time.monotonic() - self.since if self.since is not None else 0.0
        seconds = max(self.seconds + running, 1e-9)
        return self.samples / seconds, self.tokens / seconds
