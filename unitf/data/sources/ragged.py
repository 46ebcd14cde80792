"""RaggedArrays: arrays of different lengths, joined in one array of an .npz file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unitf.batch import Sample
from unitf.data.sources.file_source import DAMAGE, FileSource, find
from unitf.data.sources.indexed import IndexedSamples
from unitf.data.sources.table import table_rows
from unitf.data.split import Split
from unitf.errors import UserError, did_you_mean
from unitf.limits import check_members


class RaggedArrays(FileSource):
    """Makes one sample of each array; the other columns are a row of a table.

    Args:
        path: the .npz, with the rows of all S samples and S + 1 offsets: sample s has the rows
            `offsets[s]` to `offsets[s + 1]`.
        table: a file of any format of a Table, with a row for each array in the same order; its
            path from the folder of the .npz. None: there are no other columns.
        column: the column that holds the array.
        values: the name of the rows in the .npz.
        offsets: the name of the offsets in the .npz.
        split, limit: as for every source of files.
    """

    def __init__(
        self,
        path: str | dict[str, str],
        table: str | None = None,
        column: str = "frames",
        values: str = "values",
        offsets: str = "offsets",
        split: Split | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(path, split, limit)
        self.table: str | None = table
        self.column: str = column
        self.values: str = values
        self.offsets: str = offsets

    def load(self, path: str, root: Path) -> Sequence[Sample]:
        location = find(path, root)
        values, offsets = self._read(location)
        if (
            offsets.ndim != 1
            or offsets.dtype.kind not in "iu"
            or not len(offsets)
            or offsets[0] < 0
            or offsets[-1] > len(values)
            or (offsets[1:] < offsets[:-1]).any()
        ):
            raise UserError(
                f"{location}: {self.offsets} must be whole numbers that rise, from 0 to "
                f"{len(values)} at most"
            )
        rows = None
        if self.table is not None:
            file = find(self.table, location.parent)
            rows = table_rows(file, root)
            if len(rows) != len(offsets) - 1:
                raise UserError(f"{file}: {len(rows)} rows, but {location} has {len(offsets) - 1}")
        return Slices(values, offsets, rows, self.column)

    def _read(self, location: Path) -> list[np.ndarray]:
        try:
            check_members(location)
            with np.load(location, allow_pickle=False) as archive:
                names = (self.values, self.offsets)
                for name in names:
                    if name not in archive:
                        raise UserError(
                            f"{location}: no array {name!r}" + did_you_mean(name, archive.files)
                        )
                return [archive[name] for name in names]
        except (*DAMAGE, ValueError, TypeError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{location}: not an .npz of arrays, or damaged: {error}") from error


class Slices(IndexedSamples):
    """The parts of an array as samples, each with the columns of its row.

    Args:
        values: the rows of all samples.
        offsets: sample s has the rows `offsets[s]` to `offsets[s + 1]`.
        rows: the other columns of each sample, or None.
        column: the column of the array.
    """

    def __init__(
        self, values: np.ndarray, offsets: np.ndarray, rows: Sequence[Sample] | None, column: str
    ) -> None:
        self.values: np.ndarray = values
        self.offsets: np.ndarray = offsets
        self.rows: Sequence[Sample] | None = rows
        self.column: str = column

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def sample_at(self, index: int) -> Sample:
        part = self.values[self.offsets[index] : self.offsets[index + 1]]
        return {**(self.rows[index] if self.rows is not None else {}), self.column: part}
