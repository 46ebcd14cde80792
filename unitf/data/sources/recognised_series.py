"""Recognises a table of numbers with a column of times, of one series or of many."""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from unitf.batch import Sample
from unitf.proposal import Proposal

if TYPE_CHECKING:  # slow to import
    from pandas import DatetimeIndex

_FIRST = 200  # rows that are looked at
_LEAST = 200  # rows of a table that can be cut into windows
_FUTURE, _PAST = 96, 3.5  # rows that are predicted at most, and how many times more are read
_MOST = 60_000  # rows in which series are looked for
_SHORT = 60  # rows that each series has at least
_PATCH = 16  # the past is a multiple of it
# the usual parts of a series: fractions of its rows
PARTS: Mapping[str, Sequence[float]] = {
    "train": (0.0, 0.7),
    "validation": (0.7, 0.8),
    "test": (0.8, 1.0),
}


def propose_windows(name: str, rows: Sequence[Sample]) -> Proposal | None:
    """Returns how Windows reads a table; None: it has no times, or other columns than numbers.

    Args:
        name: of the file.
        rows: of the table.
    """
    if len(rows) < _LEAST:
        return None
    first = [rows[index] for index in range(_FIRST)]
    columns = list(first[0])
    times = [column for column in columns if _rises([row.get(column) for row in first])]
    group: str | None = None
    count = len(rows)
    if not times:
        times, group, count = _grouped(rows, columns)
    numbers = [column for column in columns if column not in (*times, group)]
    if len(times) != 1 or not numbers or not all(_is_number(first, c) for c in numbers):
        return None
    future = max(1, min(_FUTURE, count // 40))
    past = max(_PATCH, round(_PAST * future / _PATCH) * _PATCH)
    settings: dict[str, object] = {"path": name, "time": times[0], "past": past, "future": future}
    settings |= {} if group is None else {"group": group}
    settings |= {"parts": {s: list(part) for s, part in PARTS.items()}, "standardise": True}
    series = "" if group is None else f", a series for each {group}, of {count:,} rows or more"
    reason = (
        f"{len(rows):,} rows of {len(numbers)} numbers in the order of {times[0]}{series}; {past} "
        f"rows are read and {future} predicted, in deviations of each column"
    )
    return Proposal(settings, 0.85, reason, target="future")


def _grouped(rows: Sequence[Sample], columns: Sequence[str]) -> tuple[list[str], str | None, int]:
    """Returns the column of the times and that of the series, if times rise within each series.

    The number is that of the rows of the shortest series; a series of few rows is none.
    """
    some = [rows[index] for index in range(min(len(rows), _MOST))]
    times = [c for c in columns if read_times([row.get(c) for row in some[:50]]) is not None]
    if len(times) != 1:
        return [], None, 0
    for column in columns:
        found: dict[object, list[object]] = {}
        for row in some if column != times[0] else ():
            found.setdefault(row.get(column), []).append(row.get(times[0]))
        if len(rows) > _MOST and len(found) > 2:
            del found[some[-1].get(column)]  # which the end of what is looked at cuts
        shortest = min((len(cells) for cells in found.values()), default=0)
        if len(found) < 2 or None in found or shortest < _SHORT:
            continue
        if all(_rises(cells[:_FIRST]) for cells in found.values()):
            return times, column, shortest
    return [], None, 0


def read_times(cells: Sequence[object]) -> "DatetimeIndex | None":
    """Returns cells as times; None: one of them is none, or a plain number.

    `01.07.2016` and `01/07/2016` have the day first, if the month first gives less even steps.
    """
    if any(cell is None or _is_plain(cell) for cell in cells):
        return None
    return min(_ways(cells), key=_unevenness, default=None)


def _ways(cells: Sequence[object]) -> "list[DatetimeIndex]":
    """Returns what cells can mean: with the month first, and with the day first."""
    begins_with_year = str(cells[0]).strip()[:4].isdecimal() if cells else False
    ways = [_times(cells, day_first) for day_first in (False, True)[: 2 - begins_with_year]]
    return [way for way in ways if way is not None]


def _times(cells: Sequence[object], day_first: bool) -> "DatetimeIndex | None":
    import pandas

    try:
        with warnings.catch_warnings(action="ignore"):  # that the format is guessed
            return pandas.DatetimeIndex(pandas.to_datetime(list(cells), dayfirst=day_first))
    except (ValueError, TypeError, OverflowError):
        return None


def _unevenness(times: "DatetimeIndex") -> float:
    """Returns the share of steps between the times, in their order, that are not the usual one."""
    steps = np.diff(np.sort(times.to_numpy())).astype("int64")
    usual = np.median(steps) if len(steps) else 0
    return float(np.mean(np.abs(steps - usual) > 0.15 * usual)) if len(steps) else 0.0


def read_bound(text: str) -> "DatetimeIndex | None":
    """Returns a time that is written by a person; None: it is none, or its month may be its day."""
    if _is_plain(text):
        return None
    ways = _ways([text])
    return ways[0] if ways and all(way.equals(ways[0]) for way in ways) else None


def _is_plain(cell: object) -> bool:
    """Returns whether a cell is a number, also one that is written as text."""
    try:
        return isinstance(cell, str | int | float) and float(cell) is not None
    except ValueError:
        return False


def _rises(cells: Sequence[object]) -> bool:
    """Returns whether cells are times that rise in (nearly) even steps."""
    times = read_times(cells)
    if times is None or times.hasnans:
        return False
    steps = np.diff(times.asi8)
    if len(steps) == 0 or (steps <= 0).any():
        return False
    usual = np.median(steps)
    return bool(np.mean(np.abs(steps - usual) <= 0.15 * usual) >= 0.9)  # months differ in length


def _is_number(rows: Sequence[Sample], column: str) -> bool:
    cells = [cell for row in rows if (cell := row.get(column)) is not None]
    if not cells:
        return False
    try:
        return all(np.isfinite(float(cell)) for cell in cells)
    except (TypeError, ValueError):
        return False
