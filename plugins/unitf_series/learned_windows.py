"""WindowFit: what Forecast learns from one pass over the training windows."""

from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch

from unitf_series.ridge import RidgeFit, residual_quantiles
from unitf_series.training_windows import (
    KeptWindows,
    naive_errors,
    season_of,
    usual_deviation,
)


@dataclass
class WindowFit:
    """Collects the training windows one by one.

    Args:
        ridge: whether a linear map from the past to the future is wanted.
    """

    ridge: bool
    sums: np.ndarray = field(default_factory=lambda: np.zeros(0))
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0))
    kept: KeptWindows = field(default_factory=KeptWindows)
    linear: RidgeFit = field(default_factory=RidgeFit)
    steps: int | None = None
    horizon: int | None = None

    def add(self, past: np.ndarray, future: np.ndarray | None) -> None:
        """Adds a window.

        Args:
            past: (T, C).
            future: (L, C); None: it is not known.
        """
        known = np.isfinite(past)
        level = np.nan_to_num(past).sum(0) / known.sum(0).clip(1)
        variance = np.square(past - level, where=known, out=np.zeros_like(past))
        variance = variance.sum(0) / known.sum(0).clip(1)
        added = (0, max(0, len(variance) - len(self.sums)))
        self.sums, self.counts = np.pad(self.sums, added), np.pad(self.counts, added)
        self.sums[: len(variance)] += variance
        self.counts[: len(variance)] += 1
        if self.steps is None:
            self.steps = len(past)
        if future is None:
            future = past[:0]
        elif self.horizon is None:
            self.horizon = len(future)
        self.kept.add(past, future)
        if self.ridge and len(future):
            unit = usual_deviation(self.sums, self.counts)[: len(variance)]
            self.linear.add(past, future, unit)

    def learned(self, season: int | None, quantiles: list[float]) -> dict[str, object]:
        """Returns what was learned.

        Args:
            season: the season that is given; None: it is worked out.
            quantiles: those that are predicted.
        """
        windows = self.kept.windows
        shortest = min((len(past) for past, _ in windows), default=0)
        found: dict[str, object] = {
            "deviation": usual_deviation(self.sums, self.counts).tolist(),
            "steps": self.steps,
            "season": season_of(windows) if season is None else season,
        }
        lag = cast(int, found["season"])
        found["naive_errors"] = naive_errors(windows, lag if lag < shortest else 1)
        if self.horizon is not None:
            found["horizon"] = self.horizon
        if self.ridge:
            weight = self.linear.weight()
            found["ridge"] = torch.from_numpy(weight).float()
            left = residual_quantiles(weight, windows, quantiles)
            found["residuals"] = torch.from_numpy(left).float()
        return found
