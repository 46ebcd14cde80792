"""IdxFiles: the idx files of MNIST and similar data sets."""

import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias, overload

import numpy as np

from unitf.batch import Sample
from unitf.data.sources.file_source import FileSource, find, read_bytes
from unitf.data.split import Split
from unitf.errors import UserError, did_you_mean

_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


Column: TypeAlias = Sequence[object] | np.ndarray  # the values of all samples


def read_idx(path: Path) -> np.ndarray:
    """Returns the array of an idx file (gzipped or not), in the byte order of this machine.

    Raises:
        UserError: the file is missing, damaged or no idx file.
    """
    data = read_bytes(path)
    try:
        zero, kind, axes = struct.unpack(">HBB", data[:4])
        shape = struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes])
        array = np.frombuffer(data, _TYPES[kind], offset=4 + 4 * axes)
    except (struct.error, KeyError, ValueError) as error:
        raise UserError(f"{path} is not an idx file, or is cut off ({error})") from error
    if zero or array.size != math.prod(shape):
        raise UserError(f"{path}: {array.size} numbers, expected {'×'.join(map(str, shape))}")
    return array.reshape(shape).astype(array.dtype.newbyteorder("="), copy=False)


class IdxFiles(FileSource):
    """Reads each column from an idx file.

    Args:
        path: for each split the file of each column: `{train: {image: …, label: …}, test: …}`.
        classes: the names of the classes, if the column "label" holds their numbers.
        split, limit: as for every source of files.
    """

    def __init__(
        self,
        path: dict[str, dict[str, str]],
        classes: list[str] | None = None,
        split: Split | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(path, split, limit)
        self.classes: list[str] | None = classes

    def load(self, path: dict[str, str], root: Path) -> Sequence[Sample]:
        arrays = {column: read_idx(find(file, root))[: self.limit] for column, file in path.items()}
        counts = {column: len(array) for column, array in arrays.items()}
        if len(set(counts.values())) != 1:
            raise UserError(f"{self.location}: the columns have different lengths: {counts}")
        columns: dict[str, Column] = {
            column: array.tolist() if array.ndim == 1 else array for column, array in arrays.items()
        }
        if self.classes is not None:
            if "label" not in columns:
                raise UserError(
                    f"{self.location}: classes, but no column label" + did_you_mean("label", path)
                )
            columns["label"] = [
                self._class(number, path["label"]) for number in arrays["label"].tolist()
            ]
        return Columns(columns)

    def _class(self, number: int, path: str) -> str:
        assert self.classes is not None
        if not 0 <= number < len(self.classes):
            raise UserError(f"{path}: label {number}, but classes has {len(self.classes)} names")
        return self.classes[number]


class Columns(Sequence[Sample]):
    """Samples whose columns are arrays or lists of equal length."""

    def __init__(self, columns: dict[str, Column]) -> None:
        self.columns: dict[str, Column] = columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return Columns({name: values[index] for name, values in self.columns.items()})
        return {name: values[index] for name, values in self.columns.items()}
