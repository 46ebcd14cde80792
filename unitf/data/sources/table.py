"""Table: CSV, TSV, JSON, Parquet, Arrow, Excel and WebDataset files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unitf.batch import Sample
from unitf.data.sources.archive import ArchivePath
from unitf.data.sources.beside import ConsecutiveFiles, FilesBeside
from unitf.data.sources.cells import Cells
from unitf.data.sources.dataset_rows import DatasetRows, choose_columns, nested, reading
from unitf.data.sources.file_source import FileSource, find
from unitf.data.sources.indexed import IndexedSamples
from unitf.data.sources.json_rows import json_rows
from unitf.data.sources.patterns import is_pattern, matching_files
from unitf.data.sources.recognised_tables import propose_table
from unitf.data.sources.shards import Shard
from unitf.data.sources.sheets import sheet_as_csv
from unitf.data.sources.table_size import check_table
from unitf.data.split import Split
from unitf.errors import UserError, did_you_mean
from unitf.proposal import Proposal

# suffix → the name of the format in `datasets`
_FORMATS: dict[str, str] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".tar": "webdataset",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".xls": "excel",
    ".ods": "excel",
}
_COMPRESSED = {".gz", ".bz2", ".xz", ".zst"}


@dataclass(frozen=True)
class TableFormat:
    """How a table is written, where its name does not say it.

    Args:
        separator: what stands between two cells of a .csv or .tsv; None: a tab in a .tsv, and in
            a .csv a comma, or `;`, a tab or `|`, if that cuts its header into more cells.
        encoding: of a .csv or .tsv; None: UTF-8, or else what its first bytes or Windows say.
        part: the key of the rows in a .json, as `data` or `data.rows`.
    """

    separator: str | None = None
    encoding: str | None = "utf-8"
    part: str | None = None


class Table(FileSource):
    """Makes one sample of each row of a table.

    A table is a .csv, .tsv, .json(l), .parquet, .arrow, a WebDataset .tar, or the first sheet of
    an .xlsx, .xls or .ods (`pip install 'unitf[excel]'`).

    Each cell of a .csv, .tsv or of a sheet is text, and an empty one is a missing value; a task
    that needs a number reads the text as a number. A quote in a .tsv is an ordinary character,
    unless all quotes of the file enclose whole cells.

    A file may be compressed (.gz, .bz2, .xz, .zst) or lie in a .zip (`photos.zip/labels.csv`). A
    path may be a pattern: `reviews/{label}.csv` reads several files, and the column `label` is the
    same in each row of one file. An image or a sound that a row names lies beside the table, or
    in the root of the data.

    Args:
        columns: the columns of a sample and their names in the file, as
            `{text: sentence, label: category}`; by default all columns, with their names. A dot
            leads into a nested column, as `{text: review.text}`.
        separator: what stands between two cells of a .csv or .tsv; None: a tab in a .tsv, and in
            a .csv a comma, or `;`, a tab or `|`, if that cuts its header into more cells.
        encoding: of a .csv or .tsv.
        part: the key of the rows in a .json, as `data`; None: the file is a list, or has a record
            in each line.
        files: the files that a column names without their folder or their ending, as
            `{id: train/*.jpg}`; the cell stands for the `*`.
        path, split, limit: as for every source of files.
    """

    def __init__(
        self,
        path: str | dict[str, str],
        columns: dict[str, str] | None = None,
        split: Split | None = None,
        limit: int | None = None,
        separator: str | None = None,
        encoding: str = "utf-8",
        part: str | None = None,
        files: dict[str, str] | None = None,
    ) -> None:
        super().__init__(path, split, limit)
        for column, pattern in (files or {}).items():
            if pattern.count("*") != 1:
                raise UserError(f"files: {column}: found {pattern!r}, expected one * in it")
        self.columns: dict[str, str] | None = columns
        self.files: dict[str, str] = files or {}
        self.format: TableFormat = TableFormat(separator, encoding, part)

    @classmethod
    def recognise(cls, path: Path) -> Proposal | None:
        """Recognises a table, also in a folder or a .zip with the files that it names."""
        return propose_table(path, _is_plain_table, read_table)

    def load(self, path: str, root: Path) -> Sequence[Sample]:
        if not is_pattern(path):
            return self._rows(root / path, root, None)
        parts = [self._rows(file, root, fields) for file, fields in matching_files(path, root)]
        return ConsecutiveFiles(parts)

    def _rows(self, path: Path, root: Path, fields: Mapping[str, str] | None) -> "TableRows":
        rows = table_rows(path, root, self.columns, self.format, fields)
        known = list(rows.columns)
        for column in self.files:
            if column not in known:
                raise UserError(f"{path}: files: no column {column!r}{did_you_mean(column, known)}")
        rows.files = self.files
        return rows


class TableRows(IndexedSamples):
    """The rows of a table, as samples with the chosen columns.

    Args:
        rows: the rows with all columns.
        columns: the columns of a sample and their names in a row.
        constants: columns that are the same in each sample.
        finder: finds the files that a row names.
    """

    def __init__(
        self,
        rows: Sequence[Sample],
        columns: Mapping[str, str],
        constants: Mapping[str, str],
        finder: FilesBeside,
    ) -> None:
        self.rows: Sequence[Sample] = rows
        self.columns: Mapping[str, str] = columns
        self.constants: Mapping[str, str] = constants
        self.finder: FilesBeside = finder
        self.files: Mapping[str, str] = {}  # column → the pattern of the files that it names

    def __len__(self) -> int:
        return len(self.rows)

    def sample_at(self, index: int) -> Sample:
        row = self.rows[index]
        chosen = {column: nested(row, name) for column, name in self.columns.items()}
        for column, pattern in self.files.items():
            if chosen[column] is not None:
                chosen[column] = pattern.replace("*", str(chosen[column]))
        return {**chosen, **self.constants}

    @property
    def encoding(self) -> str:
        """The encoding of a text."""
        return getattr(self.rows, "encoding", "utf-8")

    @property
    def notation(self) -> str:
        """How the cells of the file are written, in words, if not as usual; or ""."""
        return getattr(self.rows, "notation", "")

    def name(self, index: int) -> str:
        """Returns the file and the row, the line or the number of the record (from 0)."""
        if (name := getattr(self.rows, "name", None)) is not None:
            return name(index)
        place = f"record {index}" if isinstance(self.rows, list) else f"row {index + 1}"
        return f"{self.finder.table}, {place}"

    def beside(self, index: int, name: str) -> str | bytes | None:
        """Returns the file that a row names: its path or its bytes; None: there is none."""
        return self.finder(name)


def format_of(path: Path) -> str:
    """Returns the name of a table's format in the `datasets` library.

    Raises:
        UserError: the file name has no known ending.
    """
    suffix = suffix_of(path)
    if suffix not in _FORMATS:
        raise UserError(f"{path}: not a table" + did_you_mean(suffix, _FORMATS, "known endings:"))
    return _FORMATS[suffix]


def suffix_of(path: Path) -> str:
    """Returns the ending of a table's name in small letters, without that of a compression."""
    suffixes = [suffix.lower() for suffix in path.suffixes] or [""]
    return suffixes[-2] if suffixes[-1] in _COMPRESSED and len(suffixes) > 1 else suffixes[-1]


def is_table(path: Path) -> bool:
    """Returns whether the name of a file ends like that of a table."""
    return suffix_of(path) in _FORMATS


def table_rows(
    path: Path,
    root: Path,
    columns: Mapping[str, str] | None = None,
    format: TableFormat | None = None,
    constants: Mapping[str, str] | None = None,
) -> TableRows:
    """Returns the rows of a table.

    Args:
        path: the table; it may lie in a .zip.
        root: where files that a row names may lie, beside the folder of the table.
        columns: the columns of a sample and their names in the table; None: all.
        format: how the table is written.
        constants: columns that are the same in each sample.

    Raises:
        UserError: the file is missing or damaged, is no table, or lacks a column.
    """
    rows, known = _all_rows(path, format or TableFormat())
    constants = constants or {}
    chosen = {name: name for name in known}
    if columns is not None:  # a constant column needs no place in the table
        wanted = {column: name for column, name in columns.items() if name not in constants}
        constants = {c: constants[n] for c, n in columns.items() if n in constants}
        chosen = choose_columns(known, wanted, str(path)) if wanted else {}
    return TableRows(rows, chosen, constants, FilesBeside(path, root))


def _all_rows(path: Path, format: TableFormat) -> tuple[Sequence[Sample], list[str]]:
    """Returns the rows of a table with all columns, and the names of the columns."""
    kind = format_of(path)
    if kind in ("csv", "json", "excel"):
        source = ArchivePath(str(path.absolute()), Path())
        data = source.read()
        source.close()
        if kind == "excel":
            cells = Cells(sheet_as_csv(data, path), str(path), ",", "utf-8")
            return cells, cells.names
        if kind == "csv":
            usual = "\t" if suffix_of(path) == ".tsv" else None
            cells = Cells(data, str(path), format.separator or usual, format.encoding)
            return cells, cells.names
        in_file = source.archive is None and len(data) == path.stat().st_size
        rows = json_rows(data, path, format.part, in_file)
        return rows, _names(rows)
    find(str(path.absolute()), Path())
    if kind == "webdataset":
        shard = Shard(path)
        return shard, shard.names
    rows = _dataset_rows(path, kind)
    return rows, list(rows.columns)


def _names(rows: Sequence[Sample]) -> list[str]:
    """Returns the names of all columns of the records of a JSON file."""
    names = getattr(rows, "names", None)
    if names is not None:
        return names
    return list({name: None for row in rows if isinstance(row, Mapping) for name in row})


def _dataset_rows(path: Path, kind: str) -> DatasetRows:
    import datasets

    check_table(path)
    with reading(str(path)):
        dataset = datasets.load_dataset(kind, data_files=[str(path)], split="train")
    return DatasetRows(dataset, None, str(path))


def _is_plain_table(path: Path) -> bool:
    """Returns whether a name is that of a table; a .tar may be anything."""
    return is_table(path) and format_of(path) != "webdataset"


def read_table(path: str | Path) -> "TableRows":
    """Returns the rows of a table as samples; its separator and encoding are found.

    Raises:
        UserError: the file is missing or damaged, or no table.
    """
    return table_rows(Path(path), Path(), format=TableFormat(encoding=None))
