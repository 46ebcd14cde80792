"""TimeSeries: the series of a table, each in the order of its times."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from unitf.batch import Sample
from unitf.data.sources.even_times import check_even, with_empty_rows
from unitf.data.sources.recognised_series import read_times
from unitf.data.sources.table import read_table
from unitf.errors import UserError, did_you_mean

if TYPE_CHECKING:  # slow to import
    from pandas import DatetimeIndex

_log: logging.Logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeriesColumns:
    """What the columns of a table are for; see the arguments of Windows."""

    time: str | None
    group: str | None
    targets: list[str] | None
    past: list[str]
    future: list[str]
    static: list[str]
    gaps: str

    @property
    def counts(self) -> tuple[int, int]:
        """The numbers of past and of future covariates."""
        return len(self.past), len(self.future)

    def with_targets(self, names: Sequence[str]) -> "SeriesColumns":
        """Returns the same with the names of the targets, of those of all numbers."""
        return replace(self, targets=list(names[: len(names) - sum(self.counts)]))

    def check(self, location: str) -> None:
        """Checks that no column has two uses.

        Raises:
            UserError: one has.
        """
        single = [name for name in (self.time, self.group) if name is not None]
        used = [*single, *(self.targets or []), *self.past, *self.future]
        for name in used:
            if used.count(name) > 1:
                raise UserError(f"{location}: column {name} has two uses, expected one")

    def numbers(self, known: Sequence[str], location: str) -> list[str]:
        """Returns the columns of numbers: targets, past covariates, future covariates.

        Raises:
            UserError: a column is not there, or nothing is predicted.
        """
        single = [name for name in (self.time, self.group) if name is not None]
        named = [*single, *self.past, *self.future, *self.static]
        for name in [*(self.targets or []), *named]:
            if name not in known:
                raise UserError(f"{location}: no column {name!r}{did_you_mean(name, known)}")
        targets = self.targets or [name for name in known if name not in named]
        if not targets:
            raise UserError(f"{location}: columns: found none to predict, expected one or more")
        return [*targets, *self.past, *self.future]


@dataclass(frozen=True, eq=False)
class TimeSeries:
    """One series of a table.

    Args:
        name: the value of the column that names the series; empty if there is one series.
        names: of the columns of numbers.
        values: the numbers; NaN where a cell is empty.
        times: of the rows; None: they are not known.
        static: further columns, as they stand in the first row.
        clock: whether the times were written with hours.
    """

    name: str
    names: Sequence[str]
    values: Float[np.ndarray, "T C"]
    times: "DatetimeIndex | None"
    static: Mapping[str, object] = field(default_factory=dict)
    clock: bool = True


def read_series_table(path: Path, columns: SeriesColumns, location: str) -> list[TimeSeries]:
    """Returns the series of a table, in the order in which they first come.

    Raises:
        UserError: a column is missing or holds no numbers (times), or times are uneven.
    """
    rows = read_table(path)
    known = list(rows[0]) if len(rows) else []
    names = columns.numbers(known, location)
    cells = [rows[index] for index in range(len(rows))]
    times = None
    if columns.time is not None:
        times = read_times([row[columns.time] for row in cells])
        if times is None:
            raise UserError(f"{location}: column {columns.time} holds no times")
    values = np.stack([_column(cells, name, location) for name in names], axis=1)
    found: list[TimeSeries] = []
    clock = columns.time is not None and any(":" in str(row[columns.time]) for row in cells[:50])
    is_sorted = True
    for name, numbers in _groups(cells, columns.group, location).items():
        own = None if times is None else times[numbers]
        if own is not None and not own.is_monotonic_increasing:
            is_sorted = False
            numbers = numbers[np.argsort(own.asi8, kind="stable")]
            own = None if times is None else times[numbers]
        static = {column: cells[numbers[0]].get(column) for column in columns.static}
        found.append(TimeSeries(name, names, values[numbers], own, static, clock))
    if not is_sorted:
        _log.warning("%s: rows are sorted by %s", location, columns.time)
    return _evened(found, columns, location)


def _evened(found: list[TimeSeries], columns: SeriesColumns, location: str) -> list[TimeSeries]:
    """Says where times are uneven, and does there what is wanted."""
    if columns.time is None:
        return found
    timed = [(one.name, one.times) for one in found if one.times is not None]
    step = check_even(timed, columns.time, columns.group, columns.gaps, location)
    if step is None or columns.gaps != "fill":
        return found
    return [
        replace(one, values=values, times=times)
        for one in found
        if one.times is not None
        for values, times in [with_empty_rows(one.values, one.times, step, location)]
    ]


def _groups(cells: Sequence[Sample], group: str | None, location: str) -> dict[str, np.ndarray]:
    """Returns the numbers of the rows of each series."""
    if group is None:
        return {"": np.arange(len(cells))}
    found: dict[str, list[int]] = {}
    for number, row in enumerate(cells):
        if row.get(group) is None:
            raise UserError(f"{location}: row {number + 1} has no {group}, expected one in each")
        found.setdefault(str(row[group]), []).append(number)
    return {name: np.array(numbers) for name, numbers in found.items()}


def _column(cells: Sequence[Sample], name: str, location: str) -> Float[np.ndarray, " T"]:
    """Returns a column as numbers; an empty cell is NaN."""
    try:
        return np.array([np.nan if (v := row.get(name)) is None else float(v) for row in cells])
    except (TypeError, ValueError) as error:
        raise UserError(f"{location}: column {name} holds no numbers ({error})") from error
