"""What a forecast learns of the training windows before it has parameters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

Window: TypeAlias = tuple[np.ndarray, np.ndarray]
"""The past (T, C) and the future (L, C) of a window; what is missing is NaN."""

_KEPT = 3_000_000  # numbers of the windows that are kept
_LEAST = 0.3  # the correlation with the season before, of a series that has a season
_RISE = 0.1  # how much more that is than the correlations on the way there
_ALIKE = 0.05  # of two seasons that correlate as well as that, the shorter counts


@dataclass
class KeptWindows:
    """Some of many windows, evenly spaced, whatever the number of all will be."""

    windows: list[Window] = field(default_factory=list)
    every: int = 1
    seen: int = 0

    def add(self, past: Float[np.ndarray, "T C"], future: Float[np.ndarray, "L C"]) -> None:
        """Keeps a window if its turn has come."""
        if self.seen % self.every == 0:
            self.windows.append((past, future))
            if len(self.windows) > 8 and len(self.windows) * (past.size + future.size) > _KEPT:
                self.windows, self.every = self.windows[::2], 2 * self.every
        self.seen += 1


def usual_deviation(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns the root mean square of the deviations of windows; 1 of what never moved."""
    deviation = np.sqrt(sums / counts.clip(1))
    return np.where(deviation > 0, deviation, 1.0)


def season_of(windows: Sequence[Window]) -> int:
    """Returns after how many steps the windows repeat themselves; 1: they do not.

    It is the shortest lag at which the mean autocorrelation of all channels has a clear peak.
    """
    correlation = _autocorrelation([past for past, _ in windows])
    peaks: dict[int, float] = {}
    lowest = np.inf
    for lag in range(1, len(correlation) - 1):
        value = float(correlation[lag])
        lowest = min(lowest, value)
        is_peak = value >= correlation[lag - 1] and value > correlation[lag + 1]
        if lag > 1 and is_peak and value >= _LEAST and value - lowest >= _RISE:
            peaks[lag] = value
    best = max(peaks.values(), default=0.0)
    return min((lag for lag, value in peaks.items() if value >= best - _ALIKE), default=1)


def _autocorrelation(series: Sequence[np.ndarray]) -> Float[np.ndarray, " K"]:
    """Returns the mean correlation of series with themselves, at lags up to half their length."""
    shortest = min((len(one) for one in series), default=0)
    total = np.zeros(shortest // 2 + 1)
    for one in series:
        steps = np.arange(len(one))
        values = filled(one)
        values = values - values.mean(0)
        slope = (steps - steps.mean()) @ values / max(np.square(steps - steps.mean()).sum(), 1)
        values = values - np.outer(steps - steps.mean(), slope)
        spectrum = np.fft.rfft(values, 2 * len(one), axis=0)
        power = np.fft.irfft(np.abs(spectrum) ** 2, axis=0)[: len(total)]
        power = power / (len(one) - np.arange(len(total)))[:, None]  # as many products as there are
        moving = power[0] > 1e-12
        if moving.any():
            total += (power[:, moving] / power[0, moving]).mean(1) / len(series)
    return total


def filled(series: Float[np.ndarray, "T C"]) -> Float[np.ndarray, "T C"]:
    """Returns a series whose missing numbers are the last known ones, or else the first known."""
    known = np.isfinite(series)
    if known.all():
        return series
    last = np.maximum.accumulate(np.where(known, np.arange(len(series))[:, None], -1), axis=0)
    first = np.where(known.any(0), known.argmax(0), 0)
    rows = np.where(last < 0, first, last)
    return np.nan_to_num(np.take_along_axis(series, rows, axis=0))


def seasonal(past: Float[np.ndarray, "T C"], season: int, horizon: int) -> np.ndarray:
    """Returns the forecast that repeats the last season; of season 1, the last value."""
    values = filled(past)
    season = min(season, len(values))
    return values[-season:][np.arange(horizon) % season]


def naive_errors(windows: Iterable[Window], season: int) -> list[float]:
    """Returns for each channel the mean absolute difference of a season, within the windows.

    It is the unit of MASE (Hyndman & Koehler, 2006); NaN of a channel that is never known, or
    never moves.
    """
    sums, counts = np.zeros(0), np.zeros(0)
    for past, _ in windows:
        differences = np.abs(past[season:] - past[:-season])
        known = np.isfinite(differences)
        added = (0, max(0, past.shape[1] - len(sums)))
        sums, counts = np.pad(sums, added), np.pad(counts, added)
        sums[: past.shape[1]] += np.where(known, differences, 0).sum(0)
        counts[: past.shape[1]] += known.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums / counts
    return np.where(mean > 0, mean, np.nan).tolist()
