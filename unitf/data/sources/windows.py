"""Windows: pieces of a table with a time column, each a past and the future after it."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from unitf.batch import Sample
from unitf.data.source import Source
from unitf.data.sources.continuation import SeriesContinuation
from unitf.data.sources.recognised_series import PARTS, propose_windows, read_bound
from unitf.data.sources.scales import Scale, scales_of
from unitf.data.sources.table import is_table, read_table
from unitf.data.sources.time_series import SeriesColumns, TimeSeries, read_series_table
from unitf.data.sources.window_samples import WindowSamples
from unitf.data.split import check_names, overlapping
from unitf.errors import UserError
from unitf.proposal import Proposal

_log: logging.Logger = logging.getLogger(__name__)
Bound: TypeAlias = int | float | str
"""A row (a whole number), a fraction of the rows (0.7), or a time ("2017-07-01")."""


class Windows(Source):
    """Makes one sample of each window of a table: the rows of its past, and those of its future.

    Both are arrays (rows × columns) of numbers, `series` and `future`; a missing cell is NaN. The
    future of a window lies in its split; the past of a validation or a test may reach back into the
    split before it. A sample may have more: `past_covariates` (rows of the past × columns),
    `future_covariates` (rows of past and future × columns), and the static columns by their names.

    Args:
        path: the table, in any format of a Table.
        past: the number of rows that are read.
        future: the number of rows that are predicted.
        time: the column of the times, by which rows are sorted; None: they stand in their order.
        columns: the columns of numbers that are predicted; None: all that have no other use.
        parts: for each split its beginning and its end: rows, fractions of all rows, or times; of
            many series, within each. By default the first 0.7 are for training, 0.1 for validation
            and 0.2 for the test.
        standardise: whether each column is given in deviations from its mean, both of the training
            rows, of many series within each.
        stride: the number of rows between the beginnings of two windows.
        group: the column that says which series a row is of; None: all rows are one series.
        past_covariates: columns that are known up to the present.
        future_covariates: columns that are known in the future too, as a calendar or a plan.
        static: columns that are the same in all rows of a series; samples have them as they are.
        apart: whether each predicted column is a sample of its own, beside the same covariates.
            `channel` is then its name.
        gaps: what is done where the times do not rise in even steps: "keep" counts rows as they
            stand, "fill" puts empty rows in, "refuse" stops. A line says how many there are.
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
        group: str | None = None,
        past_covariates: list[str] | None = None,
        future_covariates: list[str] | None = None,
        static: list[str] | None = None,
        apart: bool = False,
        gaps: Literal["keep", "fill", "refuse"] = "keep",
    ) -> None:
        self.path: str = path
        self.past: int = past
        self.future: int = future
        self.parts: dict[str, list[Bound]] = parts or {s: list(part) for s, part in PARTS.items()}
        self.standardise: bool = standardise
        self.stride: int = stride
        self.apart: bool = apart
        self.columns: SeriesColumns = SeriesColumns(
            time,
            group,
            columns,
            past_covariates or [],
            future_covariates or [],
            static or [],
            gaps,
        )
        for name, value in (("past", past), ("future", future), ("stride", stride)):
            if value < 1:
                raise UserError(f"Windows {path}: {name}: expected 1 or more, found {value}")
        for split, part in self.parts.items():
            if len(part) != 2:
                raise UserError(
                    f"Windows {path}: part {split} is {part}, expected a beginning and an end"
                )
        if apart and not standardise:
            raise UserError(
                f"Windows {path}: apart: columns of different units would be taken for one, "
                "expected standardise: true beside it"
            )
        self.columns.check(f"Windows {path}")
        check_names(self.parts, f"Windows {path}")
        self._read: tuple[Path, list[TimeSeries], list[Scale]] | None = None

    @classmethod
    def recognise(cls, path: Path) -> Proposal | None:
        """Recognises a table of numbers with a column of times, of one series or of many."""
        if not path.is_file() or not is_table(path):
            return None
        return propose_windows(path.name, read_table(path))

    def splits(self) -> list[str]:
        return list(self.parts)

    def read(self, split: str, root: Path) -> Sequence[Sample]:
        if split not in self.parts:
            return []
        series, scales = self._series(root)
        starts = [self._starts(split, one) for one in series]
        short = [one.name for one, found in zip(series, starts, strict=True) if not found]
        if len(short) == len(series):
            begin, end = self._rows(split, series[0])
            raise UserError(
                f"Windows {self.path}: part {split} has {end - begin} rows, expected "
                f"{self.past + self.future} or more for past and future"
            )
        if short:
            _log.warning(
                "Windows %s: %d of %d series are too short for a window of part %s (%s)",
                self.path, len(short), len(series), split, ", ".join(short[:5]),
            )  # fmt: skip
        scaled = [
            TimeSeries(one.name, one.names, scale.apply(one.values), one.times, one.static)
            for one, scale in zip(series, scales, strict=True)
        ]
        return WindowSamples(
            scaled, starts, self.past, self.future, self.columns.counts, self.apart
        )

    def to_predict(self, path: Path, root: Path) -> SeriesContinuation:
        """Returns the last window of each series of a table, whose future is to be predicted.

        Rows after the last known number give the covariates that are known in the future.

        Args:
            path: a table with the columns of this source.
            root: the folder of the training table, if numbers are given in its deviations.
        """
        columns = self.columns
        if columns.targets is None:
            columns = columns.with_targets(self._series(root)[0][0].names)
        given = read_series_table(path, columns, f"Windows {path}")
        scales = {"": Scale.none(len(given[0].names))}
        if self.standardise:
            known, fitted = self._series(root)
            scales = {one.name: scale for one, scale in zip(known, fitted, strict=True)}
        found = [scales.get(one.name, None if self.standardise else scales[""]) for one in given]
        return SeriesContinuation(given, found, self.past, self.future, columns, self.apart)

    def _series(self, root: Path) -> tuple[list[TimeSeries], list[Scale]]:
        """Returns all series of the table, and the scale of each."""
        if self._read is None or self._read[0] != root:
            series = read_series_table(root / self.path, self.columns, f"Windows {self.path}")
            scales = [Scale.none(len(one.names)) for one in series]
            if self.standardise:
                trained = [
                    one.values[slice(*self._rows("train", one))] if "train" in self.parts
                    else one.values
                    for one in series
                ]  # fmt: skip
                scales = scales_of(trained)
            self._read = (root, series, scales)
        return self._read[1], self._read[2]

    def _starts(self, split: str, one: TimeSeries) -> range:
        """Returns the first rows of the windows of a split; none if the series is too short."""
        bounds = {name: self._rows(name, one) for name in self.parts}
        self._check_apart(bounds)
        begin, end = bounds[split]
        first = begin if split == "train" else max(0, begin - self.past)
        return range(first, end - self.past - self.future + 1, self.stride)

    def _rows(self, split: str, one: TimeSeries) -> tuple[int, int]:
        """Returns the first row of a split, and the row after its last one."""
        count = len(one.values)
        begin, end = (self._row(split, bound, one) for bound in self.parts[split])
        if self.columns.group is not None and 0 <= begin <= end:  # series differ in length
            return min(begin, count), min(end, count)
        if not 0 <= begin < end <= count:
            raise UserError(
                f"Windows {self.path}: part {split} has the rows {begin} to {end}, expected rising "
                f"ones of {count}"
            )
        return begin, end

    def _row(self, split: str, bound: Bound, one: TimeSeries) -> int:
        if isinstance(bound, str):
            found = read_bound(bound)
            if one.times is None or found is None:
                raise UserError(
                    f"Windows {self.path}: part {split} has the bound {bound!r}, expected a row, a "
                    "fraction, or a time (2016-07-31) and the column `time`"
                )
            return int(one.times.searchsorted(found[0]))
        is_fraction = isinstance(bound, float) and bound <= 1
        return round(bound * len(one.values)) if is_fraction else int(bound)

    def _check_apart(self, bounds: Mapping[str, tuple[int, int]]) -> None:
        for one, other in overlapping(list(bounds)):
            (begin, end), (first, last) = bounds[one], bounds[other]
            if begin < last and first < end:
                raise UserError(f"Windows {self.path}: parts {one} and {other} overlap")
