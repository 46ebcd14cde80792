"""Whether the times of series rise in even steps, and what is done where they do not."""

import logging
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from unitf.errors import UserError

if TYPE_CHECKING:  # slow to import
    from pandas import DatetimeIndex, Timedelta

_log: logging.Logger = logging.getLogger(__name__)
_DOUBLE = 0.01  # the most rows with the time of the row before, as where clocks are set back


def check_even(
    series: "Sequence[tuple[str, DatetimeIndex]]",
    time: str,
    group: str | None,
    gaps: str,
    location: str,
) -> "Timedelta | None":
    """Says in one line where times rise in uneven steps; returns the usual step, None: all is even.

    Months, business days and the like are even.

    Args:
        series: the name and the times of each series, in order.
        time: the column of the times.
        group: the column of the names.
        gaps: "keep", "fill" or "refuse".
        location: the table, for messages.

    Raises:
        UserError: times are uneven and `gaps` is "refuse", or many of them are double.
    """
    steps = [np.diff(times.asi8) for _, times in series]
    joined = np.concatenate(steps) if steps else np.zeros(0, np.int64)
    if not len(joined):
        return None
    usual = int(np.median(joined))
    double = int((joined == 0).sum())
    if double > _DOUBLE * len(joined):
        unit = "a series" if group else "the table"
        hint = "times that differ" if group else "`group`, the column of the series, or other times"
        raise UserError(
            f"{location}: {double:,} rows of {unit} have the {time} of the row before, "
            f"expected {hint}"
        )
    uneven = [
        (found, times)
        for found, (_, times) in zip(steps, series, strict=True)
        if (found != usual).any() and frequency(times) is None
    ]
    if not uneven:
        return None
    count = sum(int((found != usual).sum()) for found, _ in uneven)
    widest, times = max(uneven, key=lambda pair: int(pair[0].max()))
    at = int(widest.argmax())
    step, gap = _step(usual, times), times[at + 1] - times[at]
    line = (
        f"{location}: {count:,} of {len(joined):,} steps of {time} are not {step} "
        f"(the widest is {gap}, after {times[at]})"
    )
    if gaps == "refuse":
        raise UserError(f"{line}, expected even ones (gaps: keep or fill)")
    done = "empty rows are put in" if gaps == "fill" else "rows count as they stand"
    _log.warning("%s; %s (gaps: %s)", line, done, gaps)
    return step


def _step(count: int, times: "DatetimeIndex") -> "Timedelta":
    """Returns a difference that is counted in the unit of times."""
    import pandas

    return cast("Timedelta", pandas.Timedelta(np.timedelta64(count, times.unit)))


def frequency(times: "DatetimeIndex") -> str | None:
    """Returns the frequency of times as pandas calls it; None: they have none."""
    import pandas

    try:
        with warnings.catch_warnings(action="ignore"):
            return cast("str | None", pandas.infer_freq(times))
    except (ValueError, TypeError):  # fewer than three, or double ones
        return None


def with_empty_rows(
    values: np.ndarray, times: "DatetimeIndex", step: "Timedelta", location: str
) -> "tuple[np.ndarray, DatetimeIndex]":
    """Returns rows with empty ones in between, so that the times rise in even steps.

    Raises:
        UserError: a time stands between two steps, or twice.
    """
    import pandas

    even = pandas.date_range(times[0], times[-1], freq=step)
    rows = even.get_indexer(times)
    if (rows < 0).any() or times.has_duplicates:
        odd = times[int(np.argmin(rows))] if (rows < 0).any() else times[times.duplicated()][0]
        raise UserError(
            f"{location}: gaps: fill: {odd} stands twice, or between two steps of {step}; "
            "expected gaps: keep"
        )
    filled = np.full((len(even), values.shape[1]), np.nan)
    filled[rows] = values
    return filled, even


def continued(times: "DatetimeIndex", count: int) -> "DatetimeIndex":
    """Returns the times after those of a series."""
    import pandas

    if len(times) < 2:
        raise UserError("one time has no next one, expected two rows or more")
    known = frequency(times[-60:])
    step = _step(int(np.median(np.diff(times.asi8))), times) if known is None else known
    return pandas.date_range(times[-1], periods=count + 1, freq=step)[1:]
