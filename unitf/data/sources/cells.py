"""Reads .csv and .tsv files: no cell is lost or moved, and columns of numbers become numbers."""

import codecs
import csv
import gzip
import io
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitf.data.sources.dataset_rows import reading
from unitf.data.sources.file_source import read_text
from unitf.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset
    from pyarrow import ChunkedArray
else:  # both are slow to import
    Dataset = ChunkedArray = object

_WHOLE = "(0|[1-9][0-9]{0,17})"  # 0042 stays text, as do numbers that no int64 holds
_EXPONENT = "([eE][+-]?[0-9]+)?"
# pattern of all cells of a column → the Arrow type of the column
_NUMBERS = {
    f"^ *[+-]?{_WHOLE} *$": "int64",
    rf"^ *[+-]?({_WHOLE}(\.[0-9]*)?|\.[0-9]+){_EXPONENT} *$": "float64",
    "^(true|True|TRUE|false|False|FALSE)$": "bool",
}


def is_quoted(data: bytes) -> bool:
    """Returns whether the quotes of a .tsv enclose cells, and are not characters of the text.

    All quotes must enclose whole cells. If such cells contain tabs or line ends, the plain lines
    must have different numbers of cells, and the rows with quoted cells the same number.
    """
    if b'"' not in data:
        return False
    across = False

    def empty(cell: re.Match[bytes]) -> bytes:
        nonlocal across
        across = across or any(end in cell[0] for end in (b"\t", b"\n", b"\r"))
        return b""

    data = data.removeprefix(codecs.BOM_UTF8)
    unquoted = re.sub(rb'(?<![^\t\r\n])"[^"]*(?:""[^"]*)*"(?![^\t\r\n])', empty, data)
    return b'"' not in unquoted and (not across or (_is_even(unquoted) and not _is_even(data)))


def _is_even(data: bytes) -> bool:
    return len({line.count(b"\t") for line in data.splitlines() if line}) <= 1


def load_cells(path: Path, arguments: dict[str, Any]) -> Dataset:
    """Reads a .csv or .tsv as text, and then converts the columns of numbers.

    pandas alone would choose the types again every 10,000 rows, and turn 1 into 1.0 in a column
    with a missing cell.

    Args:
        path: the file.
        arguments: those of `pandas.read_csv`.

    Raises:
        UserError: the file is damaged, or a row has more cells than the header.
    """
    import datasets
    import pandas

    location = str(path)
    with reading(location), _opened(path) as file:
        header = list(pandas.read_csv(file, nrows=0, **arguments).columns)
    features = datasets.Features({name: datasets.Value("string") for name in header})
    try:
        with reading(location), warnings.catch_warnings():
            # pandas warns when it drops the surplus cells of a row
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            dataset = datasets.load_dataset(
                "csv", data_files=[location], split="train", features=features, **arguments
            )
    except UserError:
        _fail_if_too_long(path, header, arguments)
        raise
    return _with_numbers(dataset)


def _opened(path: Path) -> io.BufferedReader | gzip.GzipFile:
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if is_gzip else path.open("rb")


def _fail_if_too_long(path: Path, header: list[str], arguments: dict[str, Any]) -> None:
    """Raises a UserError that names the first row with more cells than the header."""
    rows = csv.reader(
        io.StringIO(read_text(path), newline=""),
        delimiter=arguments["sep"],
        quoting=arguments.get("quoting", csv.QUOTE_MINIMAL),
    )
    line = 1
    try:
        for row in rows:
            surplus = row[len(header) :]
            if len(surplus) > 1 or any(surplus):
                raise UserError(
                    f"{path}, line {line}: {len(row)} cells, expected {len(header)} "
                    f"({', '.join(header)})"
                )
            line = rows.line_num + 1
    except csv.Error:  # a cell is too large for the csv module
        pass


def _with_numbers(dataset: Dataset) -> Dataset:
    """Converts the text columns that hold numbers alone."""
    import datasets
    from datasets.table import InMemoryTable, concat_tables

    columns = {name: _numbers(dataset.data.column(name)) for name in dataset.column_names}
    columns = {name: column for name, column in columns.items() if column is not None}
    if not columns:
        return dataset
    numbers: Any = InMemoryTable.from_pydict(columns)
    if len(columns) < dataset.num_columns:
        texts = dataset.data.drop(list(columns))
        numbers = concat_tables([texts, numbers], axis=1)
    return datasets.Dataset(numbers.select(dataset.column_names))


def _numbers(column: ChunkedArray) -> ChunkedArray | None:
    """Returns a column of text as numbers or booleans; None if it has other cells, or none."""
    import pyarrow.compute

    compute: Any = pyarrow.compute  # its functions are generated when it is imported
    if column.null_count == len(column):
        return None
    for pattern, kind in _NUMBERS.items():
        fits = (compute.match_substring_regex(chunk, pattern) for chunk in column.chunks)
        if all(compute.all(chunk, min_count=0).as_py() for chunk in fits):
            trimmed = compute.utf8_rtrim(compute.utf8_ltrim(column, " +"), " ")
            return trimmed.cast(kind)
    return None
