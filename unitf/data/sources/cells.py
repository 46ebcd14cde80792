"""Cells: the text of a .csv or .tsv as rows, none lost or moved, with numbers where all are."""

import codecs
import csv
import gzip
import io
import re
import warnings
from pathlib import Path
from typing import Any

from unitf.data.sources.dataset_rows import reading
from unitf.data.sources.file_source import read_text
from unitf.errors import UserError

_WHOLE = "(0|[1-9][0-9]{0,17})"  # 0042 is a code, and so is what no int64 holds
_EXPONENT = "([eE][+-]?[0-9]+)?"
# what all cells of a column look like → the Arrow type that they then have
_NUMBERS = {
    f"^ *[+-]?{_WHOLE} *$": "int64",
    rf"^ *[+-]?({_WHOLE}(\.[0-9]*)?|\.[0-9]+){_EXPONENT} *$": "float64",
    "^(true|True|TRUE|false|False|FALSE)$": "bool",
}


def is_quoted(data: bytes) -> bool:
    """Whether quotes hold the cells of a .tsv together, and not only seem so where lines are rows.

    All of them must stand around whole cells. If those contain tabs or line ends, the lines as
    they are must have different numbers of cells, and the rows with the quotes all the same.
    """
    if b'"' not in data:
        return False
    across = False

    def empty(cell: re.Match[bytes]) -> bytes:
        nonlocal across
        across = across or any(end in cell[0] for end in (b"\t", b"\n", b"\r"))
        return b""

    data = data.removeprefix(codecs.BOM_UTF8)
    bare = re.sub(rb'(?<![^\t\r\n])"[^"]*(?:""[^"]*)*"(?![^\t\r\n])', empty, data)
    return b'"' not in bare and (not across or (_is_even(bare) and not _is_even(data)))


def _is_even(data: bytes) -> bool:
    return len({line.count(b"\t") for line in data.splitlines() if line}) <= 1


def load_cells(path: Path, arguments: dict[str, Any]) -> Any:
    """A .csv or .tsv, read as text, of which columns of numbers are made then.

    pandas alone would decide anew every 10,000 rows, and make 1.0 of 1 where a cell is missing.
    """
    import datasets
    import pandas

    location = str(path)
    with reading(location), _opened(path) as file:
        header = list(pandas.read_csv(file, nrows=0, **arguments).columns)
    features = datasets.Features({name: datasets.Value("string") for name in header})
    try:
        with reading(location), warnings.catch_warnings():
            # which pandas gives where it drops what a row has beyond the header
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            dataset = datasets.load_dataset(
                "csv", data_files=[location], split="train", features=features, **arguments
            )
    except UserError:
        _fail_if_too_long(path, header, arguments)
        raise
    return _with_numbers(dataset)


def _opened(path: Path) -> Any:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")


def _fail_if_too_long(path: Path, header: list[str], arguments: dict[str, Any]) -> None:
    """Names the first row that has more cells than the header."""
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
    except csv.Error:  # a cell that is too large for it
        pass


def _with_numbers(dataset: Any) -> Any:
    """The data set, of which the columns with nothing but numbers hold them."""
    import datasets
    from datasets.table import InMemoryTable, concat_tables

    found = {name: _numbers(dataset.data.column(name)) for name in dataset.column_names}
    found = {name: column for name, column in found.items() if column is not None}
    if not found:
        return dataset
    numbers: Any = InMemoryTable.from_pydict(found)
    if len(found) < dataset.num_columns:
        texts = dataset.data.drop(list(found))
        numbers = concat_tables([texts, numbers], axis=1)
    return datasets.Dataset(numbers.select(dataset.column_names))


def _numbers(column: Any) -> Any:
    """A column of text as numbers or booleans; None: it has other cells, or none at all."""
    import pyarrow.compute

    compute: Any = pyarrow.compute  # its functions are made when it is imported
    if column.null_count == len(column):
        return None
    for pattern, kind in _NUMBERS.items():
        fits = (compute.match_substring_regex(chunk, pattern) for chunk in column.chunks)
        if all(compute.all(chunk, min_count=0).as_py() for chunk in fits):
            bare = compute.utf8_rtrim(compute.utf8_ltrim(column, " +"), " ")
            return bare.cast(kind)
    return None
