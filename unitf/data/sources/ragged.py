"""RaggedArrays: arrays of different lengths that lie one after the other in an .npz."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unitf.batch import Sample
from unitf.data.sources.dataset_rows import DatasetRows
from unitf.data.sources.file_source import DAMAGE, FileSource, find
from unitf.data.sources.table import load_table
from unitf.data.split import Split
from unitf.errors import UserError, did_you_mean


class RaggedArrays(FileSource):
    """A sample an array: some rows of a longer one; its other columns are a row of a table.

    Args:
        path: the .npz, with the rows of all samples and the S + 1 offsets: sample s has rows
            `offsets[s]` to `offsets[s + 1]`.
        table: a file of any format of a Table with a row for each array, in the same order; its
            path from the folder of the .npz. None: there are no other columns.
        column: the column that holds the array.
        values, offsets: what the two are called in the .npz.
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
        self.table = table
        self.column = column
        self.values = values
        self.offsets = offsets

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
            rows = DatasetRows(load_table(file), None, str(file))
            if len(rows) != len(offsets) - 1:
                raise UserError(f"{file}: {len(rows)} rows, but {location} has {len(offsets) - 1}")
        return Slices(values, offsets, rows, self.column)

    def _read(self, location: Path) -> list[np.ndarray]:
        try:
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


class Slices(Sequence):
    """The parts of an array, each with the columns of its row."""

    def __init__(
        self, values: np.ndarray, offsets: np.ndarray, rows: Sequence[Sample] | None, column: str
    ) -> None:
        self.values, self.offsets, self.rows, self.column = values, offsets, rows, column

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: Any) -> Any:
        index = range(len(self))[index]
        part = self.values[self.offsets[index] : self.offsets[index + 1]]
        return {**(self.rows[index] if self.rows is not None else {}), self.column: part}
