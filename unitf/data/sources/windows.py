"""Windows: pieces of a table with a time column, each a past and the future after it."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from jaxtyping import Float

from unitf.batch import Sample
from unitf.data.source import Source
from unitf.data.sources.indexed import IndexedSamples
from unitf.data.sources.recognised_series import PARTS, propose_windows, read_bound, read_times
from unitf.data.sources.table import is_table, read_table
from unitf.data.split import check_names, overlapping
from unitf.errors import UserError, did_you_mean
from unitf.proposal import Proposal

if TYPE_CHECKING:  # slow to import
    from pandas import DatetimeIndex

_log: logging.Logger = logging.getLogger(__name__)
Bound: TypeAlias = int | float | str
"""A row (a whole number), a fraction of the rows (0.7), or a time ("2017-07-01")."""


class Windows(Source):
    """Makes one sample of each window of a table: the rows of its past, and those of its future.

    Both are arrays (rows × columns) of numbers; a missing cell is NaN. The future of a window lies
    in its split; the past of a validation or a test may reach back into the split before it.

    Args:
        path: the table, in any format of a Table.
        past: the number of rows that are read.
        future: the number of rows that are predicted.
        time: the column of the times, by which rows are sorted; None: they stand in their order.
        columns: the columns of numbers; None: all but the time.
        parts: for each split its beginning and its end: rows, fractions of all rows, or times. By
            default the first 0.7 are for training, 0.1 for validation and 0.2 for the test.
        standardise: whether each column is given in deviations from its mean, both of the training
            rows.
        stride: the number of rows between the beginnings of two windows.
    """

    def __init__(
        self,
        path: str,
        past: int,
        future: int,
        time: str | None = None,
        columns: list[str] | None = None,
        parts: dict[str, list[Bound]] | None = None,
        standardise: bool = False,
        stride: int = 1,
    ) -> None:
        self.path: str = path
        self.past: int = past
        self.future: int = future
        self.time: str | None = time
        self.columns: list[str] | None = columns
        self.parts: dict[str, list[Bound]] = parts or {s: list(part) for s, part in PARTS.items()}
        self.standardise: bool = standardise
        self.stride: int = stride
        for name, value in (("past", past), ("future", future), ("stride", stride)):
            if value < 1:
                raise UserError(f"Windows {path}: {name}: expected 1 or more, found {value}")
        for split, part in self.parts.items():
            if len(part) != 2:
                raise UserError(
                    f"Windows {path}: part {split} is {part}, expected a beginning and an end"
                )
        check_names(self.parts, f"Windows {path}")
        self._numbers_read: tuple[Path, np.ndarray, DatetimeIndex | None] | None = None

    @classmethod
    def recognise(cls, path: Path) -> Proposal | None:
        """Recognises a table of numbers with a column of times that rise in even steps."""
        if not path.is_file() or not is_table(path):
            return None
        return propose_windows(path.name, read_table(path))

    def splits(self) -> list[str]:
        return list(self.parts)

    def read(self, split: str, root: Path) -> Sequence[Sample]:
        if split not in self.parts:
            return []
        if self._numbers_read is None or self._numbers_read[0] != root:
            self._numbers_read = (root, *self._numbers(root))
        _, values, times = self._numbers_read
        bounds = {name: self._rows(name, len(values), times) for name in self.parts}
        self._check_apart(bounds)
        begin, end = bounds[split]
        first = begin if split == "train" else max(0, begin - self.past)
        starts = range(first, end - self.past - self.future + 1, self.stride)
        if not starts:
            raise UserError(
                f"Windows {self.path}: part {split} has {end - begin} rows, expected "
                f"{self.past + self.future} or more for past and future"
            )
        if self.standardise:
            values = _standardised(values, bounds.get("train", (0, len(values))))
        return WindowSamples(values, starts, self.past, self.future)

    def _numbers(self, root: Path) -> "tuple[np.ndarray, DatetimeIndex | None]":
        """Returns the numbers of all rows, and their times, in the order of the times."""
        rows = read_table(root / self.path)
        known = list(rows[0]) if len(rows) else []
        for name in [*(self.columns or []), *([self.time] if self.time else [])]:
            if name not in known:
                raise UserError(
                    f"Windows {self.path}: no column {name!r}{did_you_mean(name, known)}"
                )
        cells = [rows[index] for index in range(len(rows))]
        times = None if self.time is None else read_times([row[self.time] for row in cells])
        if self.time is not None and times is None:
            raise UserError(f"Windows {self.path}: column {self.time} holds no times")
        columns = self.columns or [name for name in known if name != self.time]
        values = np.stack([_column(cells, name, self.path) for name in columns], axis=1)
        if times is not None and not times.is_monotonic_increasing:
            _log.warning("Windows %s: rows are sorted by %s", self.path, self.time)
            order = np.argsort(times.to_numpy(), kind="stable")
            values, times = values[order], times[order]
        return values, times

    def _rows(self, split: str, count: int, times: "DatetimeIndex | None") -> tuple[int, int]:
        """Returns the first row of a split, and the row after its last one."""
        begin, end = (self._row(split, bound, count, times) for bound in self.parts[split])
        if not 0 <= begin < end <= count:
            raise UserError(
                f"Windows {self.path}: part {split} has the rows {begin} to {end}, expected rising "
                f"ones of {count}"
            )
        return begin, end

    def _row(self, split: str, bound: Bound, count: int, times: "DatetimeIndex | None") -> int:
        if isinstance(bound, str):
            found = read_bound(bound)
            if times is None or found is None:
                raise UserError(
                    f"Windows {self.path}: part {split} has the bound {bound!r}, expected a row, a "
                    "fraction, or a time (2016-07-31) and the column `time`"
                )
            return int(times.searchsorted(found[0]))
        return round(bound * count) if isinstance(bound, float) and bound <= 1 else int(bound)

    def _check_apart(self, bounds: Mapping[str, tuple[int, int]]) -> None:
        for one, other in overlapping(list(bounds)):
            (begin, end), (first, last) = bounds[one], bounds[other]
            if begin < last and first < end:
                raise UserError(f"Windows {self.path}: parts {one} and {other} overlap")


class WindowSamples(IndexedSamples):
    """The windows of an array as samples with the columns `series` and `future`.

    Args:
        values: all rows.
        starts: the first row of each window.
        past: the number of rows of `series`.
        future: the number of rows of `future`, after those of `series`.
    """

    def __init__(
        self, values: Float[np.ndarray, "T C"], starts: range, past: int, future: int
    ) -> None:
        self.values: np.ndarray = values
        self.starts: range = starts
        self.past: int = past
        self.future: int = future

    def __len__(self) -> int:
        return len(self.starts)

    def sample_at(self, index: int) -> Sample:
        middle = self.starts[index] + self.past
        return {
            "series": self.values[middle - self.past : middle],
            "future": self.values[middle : middle + self.future],
        }

    def extent(self, index: int) -> tuple[int, int]:
        """Returns the first row of a window, and the row after its last one."""
        return self.starts[index], self.starts[index] + self.past + self.future

    def name(self, index: int) -> str:
        """Returns the rows of a window."""
        first = self.starts[index]
        return f"rows {first} to {first + self.past + self.future}"


def _column(cells: Sequence[Sample], name: str, path: str) -> Float[np.ndarray, " T"]:
    """Returns a column as numbers; an empty cell is NaN."""
    try:
        return np.array([np.nan if (v := row.get(name)) is None else float(v) for row in cells])
    except (TypeError, ValueError) as error:
        raise UserError(f"Windows {path}: column {name} holds no numbers ({error})") from error


def _standardised(
    values: Float[np.ndarray, "T C"], train: tuple[int, int]
) -> Float[np.ndarray, "T C"]:
    """Returns numbers in deviations from their mean, both of the training rows."""
    known = values[slice(*train)]
    deviation = np.nanstd(known, axis=0)
    return (values - np.nanmean(known, axis=0)) / np.where(deviation > 0, deviation, 1.0)
