"""Table: CSV, TSV, JSON lines, Parquet, Arrow and WebDataset files, read by `datasets`."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitf.batch import Sample
from unitf.data.sources.cells import is_quoted, load_cells
from unitf.data.sources.dataset_rows import DatasetRows, reading
from unitf.data.sources.file_source import FileSource, find, read_bytes
from unitf.data.split import Split
from unitf.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from datasets import Dataset
else:  # `datasets` is slow to import
    Dataset = object

# "NA", "null" and "None" are words of a text, not missing values
_CELLS = {"keep_default_na": False, "na_values": [""], "index_col": False}
# suffix → the name of the format in `datasets`, and the arguments of its reader
_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".csv": ("csv", {**_CELLS, "sep": ","}),
    ".tsv": ("csv", {**_CELLS, "sep": "\t"}),
    ".json": ("json", {}),
    ".jsonl": ("json", {}),
    ".ndjson": ("json", {}),
    ".parquet": ("parquet", {}),
    ".arrow": ("arrow", {}),
    ".tar": ("webdataset", {}),
}


class Table(FileSource):
    """Makes one sample of each row of a .csv, .tsv, .jsonl, .parquet, .arrow or WebDataset .tar.

    In a .csv or .tsv an empty cell is a missing value. A column becomes numbers if all its cells
    are numbers and none has leading zeros, like 0042. A quote in a .tsv is an ordinary character,
    unless all quotes of the file enclose whole cells.

    Args:
        columns: the columns of a sample and their names in the file, as
            `{text: sentence, label: category}`; by default all columns, with their names.
        path, split, limit: as for every source of files.
    """

    def __init__(
        self,
        path: str | dict[str, str],
        columns: dict[str, str] | None = None,
        split: Split | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(path, split, limit)
        self.columns: dict[str, str] | None = columns

    def load(self, path: str, root: Path) -> Sequence[Sample]:
        file = find(path, root)
        return DatasetRows(load_table(file), self.columns, str(file))


def format_of(path: Path) -> tuple[str, dict[str, Any]]:
    """Returns the name of a file's format in the `datasets` library, and the reader's arguments.

    Raises:
        UserError: the file name has no known ending.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes] or [""]
    suffix = suffixes[-2] if suffixes[-1] == ".gz" and len(suffixes) > 1 else suffixes[-1]
    if suffix not in _FORMATS:
        raise UserError(f"{path}: not a table" + did_you_mean(suffix, _FORMATS, "known endings:"))
    kind, arguments = _FORMATS[suffix]
    if suffix == ".tsv" and not is_quoted(read_bytes(path)):
        arguments = {**arguments, "quoting": csv.QUOTE_NONE}
    return kind, arguments


def load_table(path: Path) -> Dataset:
    """Reads a table as a `datasets.Dataset`.

    Raises:
        UserError: the file is damaged, or no table.
    """
    import datasets

    kind, arguments = format_of(path)
    if kind == "csv":
        return load_cells(path, arguments)
    with reading(str(path)):
        return datasets.load_dataset(kind, data_files=[str(path)], split="train", **arguments)


def read_table(path: str | Path) -> Sequence[Sample]:
    """Returns the rows of a table as samples.

    Raises:
        UserError: the file is missing or damaged, or no table.
    """
    return DatasetRows(load_table(find(str(path), Path())), None, str(path))
