"""Tables: CSV, TSV, JSON lines, Parquet, Arrow and WebDataset files, read by `datasets`."""

import codecs
import csv
import gzip
import io
import re
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unitf.batch import Sample
from unitf.data.near import near
from unitf.data.reading import FileSource, find, read_bytes, read_text
from unitf.data.split import Split
from unitf.errors import UserError

# "NA", "null" and "None" are words of a text, not missing values
_CELLS = {"keep_default_na": False, "na_values": [""], "index_col": False}
# suffix → the name that `datasets` has for the format, and how it is to read it
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
_WHOLE = "(0|[1-9][0-9]{0,17})"  # 0042 is a code, and so is what no int64 holds
_EXPONENT = "([eE][+-]?[0-9]+)?"
# what all cells of a column look like → the Arrow type that they then have
_NUMBERS = {
    f"^ *[+-]?{_WHOLE} *$": "int64",
    rf"^ *[+-]?({_WHOLE}(\.[0-9]*)?|\.[0-9]+){_EXPONENT} *$": "float64",
    "^(true|True|TRUE|false|False|FALSE)$": "bool",
}


class Table(FileSource):
    """A sample a row of a .csv, .tsv, .jsonl, .parquet or .arrow file, or of WebDataset's .tar.

    Of a .csv or .tsv an empty cell is missing: its sample has no such column. A column is numbers
    if all its cells are and none has zeros before it, as 0042 has. A quote in a .tsv is a character
    like any other, unless all quotes of the file stand around cells that they hold together.

    Args:
        columns: the columns of a sample and what they are called in the file, as
            `{text: sentence, label: category}`; by default all, as they are called.
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
        self.columns = columns

    def load(self, path: str, root: Path) -> Sequence[Sample]:
        file = find(path, root)
        return Rows(load_table(file), self.columns, str(file))


def format_of(path: Path) -> tuple[str, dict[str, Any]]:
    """What the `datasets` library calls the format of a file, and how it is to read it."""
    suffixes = [suffix.lower() for suffix in path.suffixes] or [""]
    suffix = suffixes[-2] if suffixes[-1] == ".gz" and len(suffixes) > 1 else suffixes[-1]
    if suffix not in _FORMATS:
        raise UserError(f"{path}: not a table" + near(suffix, _FORMATS, "known endings:"))
    kind, arguments = _FORMATS[suffix]
    if suffix == ".tsv" and not is_quoted(read_bytes(path)):
        arguments = {**arguments, "quoting": csv.QUOTE_NONE}
    return kind, arguments


def load_table(path: Path) -> Any:
    """A table as a `datasets.Dataset`."""
    import datasets

    kind, arguments = format_of(path)
    if kind == "csv":
        return _load_cells(path, arguments)
    with reading(str(path)):
        return datasets.load_dataset(kind, data_files=[str(path)], split="train", **arguments)


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


def _load_cells(path: Path, arguments: dict[str, Any]) -> Any:
    """A .csv or .tsv, read as text, of which columns of numbers are made then.

    pandas alone would decide anew every 10,000 rows, and make 1.0 of 1 where a cell is missing.
    """
    import datasets
    import pandas

    place = str(path)
    with reading(place), _opened(path) as file:
        header = list(pandas.read_csv(file, nrows=0, **arguments).columns)
    features = datasets.Features({name: datasets.Value("string") for name in header})
    try:
        with reading(place), warnings.catch_warnings():
            # which pandas gives where it drops what a row has beyond the header
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            dataset = datasets.load_dataset(
                "csv", data_files=[place], split="train", features=features, **arguments
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


def read_table(path: str | Path) -> Sequence[Sample]:
    """The rows of a table."""
    return Rows(load_table(find(str(path), Path())), None, str(path))


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Turns what the `datasets` library raises into one line, without its progress bars."""
    from datasets.exceptions import DatasetsError
    from datasets.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    errors = (DatasetsError, OSError, ValueError, EOFError, zlib.error)
    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    except UserError:
        raise
    except errors as error:
        reason = " ".join(str(error.__cause__ or error).split())
        if "corresponds to no data" in reason:
            reason = "it holds no samples"
        raise UserError(f"{place}: {reason or type(error).__name__}") from error
    finally:
        if shown:
            enable_progress_bars()


class Rows(Sequence):
    """The rows of a `datasets.Dataset` as samples: files undecoded, classes by name."""

    def __init__(self, dataset: Any, columns: dict[str, str] | None, place: str) -> None:
        self.columns = choose_columns(dataset.column_names, columns, place)
        self.dataset, self.decoders = undecoded(dataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        return to_sample(self.dataset[index], self.columns, self.decoders)


def choose_columns(
    known: Sequence[str], wanted: dict[str, str] | None, place: str
) -> dict[str, str]:
    """The columns of a sample and what they are called in the table."""
    for theirs in (wanted or {}).values():
        if theirs not in known:
            raise UserError(f"{place}: no column {theirs!r}" + near(theirs, known))
    return wanted or {name: name for name in known}


def undecoded(dataset: Any) -> tuple[Any, dict[str, Callable[[Any], Any]]]:
    """The data set with its media as files, and what remains to be done to some columns."""
    import datasets

    decoders: dict[str, Callable[[Any], Any]] = {}
    for name, feature in (dataset.features or {}).items():
        if isinstance(feature, datasets.Image | datasets.Audio | datasets.Video):
            dataset = dataset.cast_column(name, type(feature)(decode=False))
            decoders[name] = _file
        elif isinstance(feature, datasets.ClassLabel):
            decoders[name] = lambda number, names=feature.names: names[number]
    return dataset, decoders


def to_sample(row: Any, columns: dict[str, str], decoders: dict[str, Callable]) -> Sample:
    """A row with the sample's own names."""
    return {
        ours: decoders[theirs](row[theirs])
        if theirs in decoders and row[theirs] is not None
        else row[theirs]
        for ours, theirs in columns.items()
    }


def _file(value: dict[str, Any]) -> Any:
    return value["bytes"] if value["bytes"] is not None else value["path"]
