"""Ridge regression of the future on the past, in closed form, from one pass over windows."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from unitf import UserError

_STRENGTH = 0.2  # of the penalty, as a part of the mean square of the past
_ROWS = 4096  # that are multiplied at once


@dataclass
class RidgeFit:
    """Fits one linear map from the past of a channel to its future, around the level of the past.

    All channels have the same map. A channel of a window counts as one row.
    """

    gram: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    cross: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    waiting: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def add(self, past: np.ndarray, future: np.ndarray, unit: Float[np.ndarray, " C"]) -> None:
        """Adds the channels of a window whose future is known.

        Args:
            past: (T, C).
            future: (L, C).
            unit: of each channel, so that all channels count alike.

        Raises:
            UserError: the past is longer or shorter than those before.
        """
        known = np.isfinite(future).all(0) & np.isfinite(past).any(0)
        rows, level = around_level(past)
        unit = unit[known, None]
        pair = (rows[known] / unit, (future.T - level[:, None])[known] / unit)
        if self.waiting and self.waiting[0][0].shape[1] != len(past):
            raise UserError(f"shortcut: expected pasts of one length, found {len(past)} steps")
        self.waiting.append(pair)
        if sum(len(rows) for rows, _ in self.waiting) >= _ROWS:
            self._multiply()

    def _multiply(self) -> None:
        pasts, futures = map(np.concatenate, zip(*self.waiting, strict=True))
        gram, cross = pasts.T @ pasts, pasts.T @ futures
        self.gram = gram + self.gram if self.gram.size else gram
        self.cross = cross + self.cross if self.cross.size else cross
        self.waiting = [(pasts[:0], futures[:0])]

    def weight(self) -> Float[np.ndarray, "L T"]:
        """Returns the map of all rows that were added."""
        if not self.waiting:
            raise UserError("shortcut: ridge needs training windows with a future")
        self._multiply()
        size = len(self.gram)
        penalty = _STRENGTH * max(float(np.trace(self.gram)) / size, 1e-9)
        return np.linalg.solve(self.gram + penalty * np.eye(size), self.cross).T


def around_level(past: Float[np.ndarray, "T C"]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the channels of a past as rows (C, T) around their levels, and the levels (C,).

    What is missing counts as the level, as SeriesPatches reads it.
    """
    known = np.isfinite(past)
    level = np.nan_to_num(past).sum(0) / known.sum(0).clip(1)
    return np.where(known, past - level, 0.0).T, level


def residual_quantiles(
    weight: Float[np.ndarray, "L T"],
    windows: "list[tuple[np.ndarray, np.ndarray]]",
    quantiles: list[float],
) -> Float[np.ndarray, "L Q"]:
    """Returns quantiles of what a map leaves, at each step, in deviations of the past."""
    left: list[np.ndarray] = []
    for past, future in windows:
        rows, level = around_level(past)
        deviation = rows.std(1, keepdims=True)
        moving = (deviation[:, 0] > 0) & np.isfinite(future).all(0)
        error = future.T - level[:, None] - rows @ weight.T
        left.append(error[moving] / deviation[moving])
    errors = np.concatenate(left)
    if not len(errors) or not quantiles:
        return np.zeros((len(weight), len(quantiles)))
    return np.quantile(errors, quantiles, axis=0).T
