"""WindowSamples: the windows of one series or of many, as samples."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from unitf.batch import Sample
from unitf.data.sources.indexed import IndexedSamples
from unitf.data.sources.time_series import TimeSeries


class ColumnCounts(NamedTuple):
    """How many columns of each kind the numbers of a series have at their end.

    Args:
        past: covariates that are known up to the present.
        future: covariates that are known in the future too, which stand last.
    """

    past: int
    future: int


class WindowSamples(IndexedSamples):
    """The windows of series as samples with the columns `series`, `future`, and covariates.

    Args:
        series: the series.
        starts: the first row of each window, for each series.
        past: the number of rows of `series`.
        future: the number of rows of `future`, after those of `series`.
        counts: the numbers of covariates.
        apart: whether each predicted column is a sample of its own.
    """

    def __init__(
        self,
        series: Sequence[TimeSeries],
        starts: Sequence[range],
        past: int,
        future: int,
        counts: tuple[int, int],
        apart: bool = False,
    ) -> None:
        self.series: Sequence[TimeSeries] = series
        self.past: int = past
        self.future: int = future
        self.counts: ColumnCounts = ColumnCounts(*counts)
        self.apart: bool = apart
        self.starts: Sequence[range] = starts
        self._ends: np.ndarray = np.cumsum([len(found) for found in starts])
        # rows of all series one after the other, so that windows of two series never overlap
        lengths = np.cumsum([len(one.values) for one in series])
        self._first_rows: np.ndarray = np.concatenate([[0], lengths[:-1]])
        self.num_targets: int = len(series[0].names) - sum(self.counts)

    def __len__(self) -> int:
        return int(self._ends[-1]) * (self.num_targets if self.apart else 1)

    def _window(self, index: int) -> tuple[int, int, int | None]:
        """Returns the series and the first row of a window, and its column if they are apart."""
        channel: int | None = None
        if self.apart:
            index, channel = divmod(index, self.num_targets)
        number = int(np.searchsorted(self._ends, index, side="right"))
        before = int(self._ends[number - 1]) if number else 0
        return number, self.starts[number][index - before], channel

    def sample_at(self, index: int) -> Sample:
        number, first, channel = self._window(index)
        return window_sample(
            self.series[number], first, (self.past, self.future), self.counts, channel
        )

    def extent(self, index: int) -> tuple[int, int]:
        """Returns the first row of a window, and the row after its last one, of all series."""
        number, first, _ = self._window(index)
        first += int(self._first_rows[number])
        return first, first + self.past + self.future

    def name(self, index: int) -> str:
        """Returns the series and the rows of a window."""
        number, first, channel = self._window(index)
        one = self.series[number]
        parts = [one.name] if one.name else []
        if channel is not None:
            parts.append(one.names[channel])
        return ", ".join([*parts, f"rows {first} to {first + self.past + self.future}"])


def window_sample(
    one: TimeSeries,
    first: int,
    lengths: tuple[int, int],
    counts: ColumnCounts,
    channel: int | None = None,
) -> Sample:
    """Returns a window as a sample.

    Args:
        one: the series.
        first: the first row of the past.
        lengths: the number of rows of the past and of the future.
        counts: the numbers of covariates.
        channel: the column that is predicted; None: all of them.
    """
    middle = first + lengths[0]
    end, num_targets = middle + lengths[1], len(one.names) - sum(counts)
    chosen = slice(0, num_targets) if channel is None else slice(channel, channel + 1)
    sample: dict[str, object] = {
        "series": one.values[first:middle, chosen],
        "future": one.values[middle:end, chosen],
    }
    if counts.past:
        known = slice(num_targets, num_targets + counts.past)
        sample["past_covariates"] = one.values[first:middle, known]
    if counts.future:
        sample["future_covariates"] = one.values[first:end, num_targets + counts.past :]
    if channel is not None:
        sample["channel"] = one.names[channel]
    return {**sample, **one.static}
