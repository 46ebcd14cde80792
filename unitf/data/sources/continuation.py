"""SeriesContinuation: the last window of each series of a table, and the rows that continue it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np

from unitf.batch import Sample
from unitf.data.sources.even_times import continued
from unitf.data.sources.indexed import IndexedSamples
from unitf.data.sources.scales import Scale
from unitf.data.sources.time_series import SeriesColumns, TimeSeries
from unitf.data.sources.window_samples import ColumnCounts, window_sample
from unitf.errors import UserError

_log: logging.Logger = logging.getLogger(__name__)
Predicted = Mapping[str, object]


class _Present(NamedTuple):
    """A series up to its last known row.

    Args:
        series: all of its rows, scaled.
        scale: by which they are.
        known: the number of rows up to the last one with a number that is predicted.
    """

    series: TimeSeries
    scale: Scale
    known: int


class SeriesContinuation(IndexedSamples):
    """The samples that continue a table, and their predictions in terms of the table.

    Args:
        given: the series of the table.
        scales: of each series; None: it was not there in training.
        past: the number of rows that are read.
        future: the number of rows that are predicted.
        columns: what the columns are for.
        apart: whether each predicted column is a sample of its own.

    Raises:
        UserError: a series has too few rows, or lacks covariates of the future.
    """

    def __init__(
        self,
        given: Sequence[TimeSeries],
        scales: Sequence[Scale | None],
        past: int,
        future: int,
        columns: SeriesColumns,
        apart: bool,
    ) -> None:
        self.past, self.future, self.columns, self.apart = past, future, columns, apart
        self.counts: ColumnCounts = ColumnCounts(*columns.counts)
        pairs = zip(given, scales, strict=True)
        self._presents: list[_Present] = [self._present(one, scale) for one, scale in pairs]
        self.num_targets: int = len(columns.targets or [])

    def _present(self, one: TimeSeries, scale: Scale | None) -> _Present:
        called = f"{self.columns.group} {one.name}" if one.name else "the table"
        targets = one.values[:, : len(one.names) - sum(self.counts)]
        known = int(np.flatnonzero(np.isfinite(targets).any(1)).max(initial=-1)) + 1
        if known < self.past:
            raise UserError(f"{called} has {known} rows with numbers, expected {self.past} or more")
        after = len(one.values) - known
        if self.counts.future and after < self.future:
            raise UserError(
                f"{called} has {after} rows after its last number, expected {self.future} with "
                f"{', '.join(self.columns.future)}, which are known in the future"
            )
        if scale is None:
            _log.warning("%s was not there in training: its own mean and deviation count", called)
            scale = Scale.of(one.values[:known])
        missing = max(0, self.future - after)
        empty = np.full((missing, one.values.shape[1]), np.nan)
        values = np.concatenate([scale.apply(one.values), empty])
        return _Present(replace(one, values=values), scale, known)

    def __len__(self) -> int:
        return len(self._presents) * (self.num_targets if self.apart else 1)

    def _at(self, index: int) -> tuple[_Present, int | None]:
        if not self.apart:
            return self._presents[index], None
        number, channel = divmod(index, self.num_targets)
        return self._presents[number], channel

    def sample_at(self, index: int) -> Sample:
        present, channel = self._at(index)
        lengths = self.past, self.future
        first = present.known - self.past
        sample = dict(window_sample(present.series, first, lengths, self.counts, channel))
        del sample["future"]
        return sample

    def restored(self, index: int, prediction: Predicted) -> tuple[Sample, Predicted]:
        """Returns a sample and its prediction in the unit of the table.

        All arrays of the future's shape in a prediction are taken for what is predicted. `columns`
        has their names.
        """
        present, channel = self._at(index)
        chosen = slice(0, self.num_targets) if channel is None else slice(channel, channel + 1)
        sample = dict(self.sample_at(index))
        sample["series"] = present.scale.undo(cast(np.ndarray, sample["series"]), chosen)
        names = list(present.series.names[: self.num_targets][chosen])
        return sample, {**self._undone(prediction, present.scale, chosen), "columns": names}

    def _undone(self, prediction: Predicted, scale: Scale, chosen: slice) -> Predicted:
        shape = (self.future, len(range(*chosen.indices(self.num_targets))))

        def undone(value: object) -> object:
            if isinstance(value, Mapping):
                return {key: undone(part) for key, part in cast(Predicted, value).items()}
            array = np.asarray(value) if isinstance(value, list) else None
            if array is None or array.shape != shape:
                return value
            return scale.undo(array, chosen).tolist()

        return {key: undone(value) for key, value in prediction.items()}

    def rows(self, predictions: Sequence[Predicted]) -> list[dict[str, object]]:
        """Returns the rows that continue the table: series, time, and what is predicted.

        Args:
            predictions: as `restored` returns them, each with the `index` of its sample.
        """
        found: dict[tuple[int, int], dict[str, object]] = {}
        for prediction in predictions:
            index = cast(int, prediction["index"])
            present, channel = self._at(index)
            number = index // self.num_targets if self.apart else index
            names = list(present.series.names[: self.num_targets])
            names = names if channel is None else [names[channel]]
            for step, begin in enumerate(self._beginnings(present)):
                row = found.setdefault((number, step), begin)
                row |= _cells(prediction, step, names, (self.future, len(names)))
        return list(found.values())

    def _beginnings(self, present: _Present) -> list[dict[str, object]]:
        """Returns the first cells of the rows: of which series they are, and their times."""
        one, columns = present.series, self.columns
        named: dict[str, object] = {} if columns.group is None else {columns.group: one.name}
        if one.times is None or columns.time is None:
            return [{**named, "row": present.known + n} for n in range(self.future)]
        times = one.times[present.known : present.known + self.future]
        if len(times) < self.future:
            more = continued(one.times, self.future - len(times))
            times = times.append(more)
        texts = [str(time) if one.clock else str(time.date()) for time in times]
        return [{**named, columns.time: text} for text in texts]


def _cells(
    prediction: Predicted, step: int, names: Sequence[str], shape: tuple[int, int]
) -> dict[str, object]:
    """Returns the cells of one row: the first array under the names, others with a suffix."""
    cells: dict[str, object] = {}
    for value in prediction.values():
        if isinstance(value, list) and np.shape(value) == shape and not cells:
            cells |= dict(zip(names, value[step], strict=True))
        elif isinstance(value, Mapping):
            for key, part in cast(Predicted, value).items():
                if np.shape(cast(list[list[float]], part)) == shape:
                    row = cast(list[list[float]], part)[step]
                    cells |= {f"{name}_{key}": n for name, n in zip(names, row, strict=True)}
    return cells
