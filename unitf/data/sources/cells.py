"""Reads .csv and .tsv files as text: no cell is lost, moved or taken for a number."""

import codecs
import csv
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from unitf.batch import Sample
from unitf.data.sources.cell_notation import (
    GUESSED,
    HEAD,
    encoding_of,
    separator_of,
    with_decimal_points,
)
from unitf.data.sources.indexed import IndexedSamples
from unitf.errors import UserError

if TYPE_CHECKING:
    from pandas import DataFrame
    from pyarrow import Table as ArrowTable
else:  # both are slow to import
    DataFrame = ArrowTable = object

Arguments: TypeAlias = dict[str, Any]
"""Arguments of `pandas.read_csv`."""

# "NA", "null" and "None" are words of a text, not missing values
_CELLS: Arguments = {"keep_default_na": False, "na_values": [""], "index_col": False, "dtype": str}
_AT_ONCE = 50_000  # rows


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


class Cells(IndexedSamples):
    """The rows of a .csv or .tsv: each cell is text, or None where it is empty.

    What a column holds depends on what reads it: a task that needs numbers reads the texts as
    numbers. So no column is numbers in one file, and text in another.

    Args:
        data: the content of the file.
        location: its path, for messages.
        separator: what stands between two cells; None: what the cells show.
        encoding: of the text; None: UTF-8, or else what the first bytes or Windows say.

    Where no comma stands between cells, a column of numbers such as `12,5` holds `12.5`.

    Raises:
        UserError: the file is damaged, or a row has more cells than the header.
    """

    def __init__(
        self, data: bytes, location: str, separator: str | None, encoding: str | None
    ) -> None:
        import pyarrow

        self.encoding: str = encoding or encoding_of(data)
        text = _decoded(data, location, self.encoding)
        self.separator: str = separator or separator_of(text[:HEAD])
        self._is_found: bool = separator is None
        arguments = _arguments(data, self.separator)
        header: list[str] = []
        frames: list[ArrowTable] = []
        try:
            for frame in _frames(io.StringIO(text, newline=""), arguments):
                header = list(map(str, frame.columns))
                schema = pyarrow.schema([(name, pyarrow.large_string()) for name in header])
                frame.columns = header
                frames.append(pyarrow.Table.from_pandas(frame, schema, preserve_index=False))
        except (ValueError, OSError, Warning) as error:  # of pandas
            _fail_if_too_long(text, location, header or _header(text, arguments), arguments)
            reason = " ".join(str(error).split())
            raise UserError(f"{location}: {reason}") from error
        if not sum(map(len, frames)):
            raise UserError(f"{location}: it holds no samples")
        self.location: str = location
        self.names: list[str] = header
        table, self.decimal_commas = pyarrow.concat_tables(frames).combine_chunks(), list[str]()
        if self.separator != ",":
            table, self.decimal_commas = with_decimal_points(table)
        self.table: ArrowTable = table
        self._row_numbers: Sequence[int] | None = _row_numbers(text, arguments, len(self))

    def __len__(self) -> int:
        return self.table.num_rows

    def sample_at(self, index: int) -> Sample:
        columns = zip(self.names, self.table.columns, strict=True)
        return {name: column[index].as_py() for name, column in columns}

    @property
    def notation(self) -> str:
        """How the cells are written, in words, if not as usual; or ""."""
        words = [f"cells between {self.separator!r}"] * (self._is_found and self.separator != ",")
        if self.encoding == GUESSED:
            words.append(f"no UTF-8 but read as {GUESSED} (`encoding` names another)")
        if self.decimal_commas:
            words.append(f"decimal commas in {', '.join(self.decimal_commas[:5])}")
        return ", ".join(words)

    def name(self, index: int) -> str:
        """Returns the file and the row of a sample; the header is row 1, as in spreadsheets.

        A cell of several lines is in one row, and an empty line is a row too.
        """
        if self._row_numbers is None:
            return f"{self.location}, sample {index + 1}"
        return f"{self.location}, row {self._row_numbers[index]}"


def cell_rows(file: io.BufferedIOBase, location: str, separator: str | None) -> Iterator[Sample]:
    """Yields the rows of a stream in UTF-8, as Cells has them, but with decimal commas as written.

    Raises:
        UserError: the file is damaged, or a row has more cells than the header.
    """
    if separator is None:
        file = file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast(Any, file))
        separator = separator_of(file.peek(1).decode("utf-8-sig", "replace"))
    arguments: Arguments = {**_CELLS, "sep": separator}
    if separator == "\t":  # only the whole file shows whether its quotes enclose cells
        data = file.read()
        file, arguments = io.BytesIO(data), _arguments(data, separator)
    try:
        # closed also when the reader has seen enough: a stream of tables opens many files
        with io.TextIOWrapper(cast(Any, file), "utf-8-sig", newline="") as text:
            for frame in _frames(text, arguments):
                for row in frame.itertuples(index=False, name=None):
                    cells = (cell if isinstance(cell, str) else None for cell in row)
                    yield dict(zip(map(str, frame.columns), cells, strict=True))
    except (ValueError, OSError, Warning) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{location}: {reason}") from error


def _frames(buffer: io.StringIO | io.TextIOWrapper, arguments: Arguments) -> Iterator[DataFrame]:
    import pandas

    with warnings.catch_warnings():
        # pandas warns when it drops the surplus cells of a row
        warnings.simplefilter("error", pandas.errors.ParserWarning)
        yield from cast(Any, pandas.read_csv)(buffer, chunksize=_AT_ONCE, **arguments)


def _row_numbers(text: str, arguments: Arguments, count: int) -> Sequence[int] | None:
    """Returns the row of each sample; None: a file with empty lines does not show it."""
    if not re.search(r"(?:^|[\n\r])[ \t]*(?:\r?\n|\r)[^\n\r]", text):
        return range(2, count + 2)  # the rows follow the header
    rows = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=arguments["sep"],
        quoting=arguments.get("quoting", csv.QUOTE_MINIMAL),
    )
    try:
        filled = [n for n, row in enumerate(rows, start=1) if len(row) > 1 or "".join(row).strip()]
    except csv.Error:  # a cell is too large for the csv module
        return None
    return filled[1:] if len(filled) == count + 1 else None


def _header(text: str, arguments: Arguments) -> list[str]:
    import pandas

    try:
        return list(cast(Any, pandas.read_csv)(io.StringIO(text), nrows=0, **arguments).columns)
    except ValueError:
        return []


def _arguments(data: bytes, separator: str) -> Arguments:
    if separator == "\t" and not is_quoted(data):
        return {**_CELLS, "sep": separator, "quoting": csv.QUOTE_NONE}
    return {**_CELLS, "sep": separator}


def _decoded(data: bytes, location: str, encoding: str) -> str:
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(
            f"{location}, line {line}: not {encoding} ({error.reason}); `encoding` names another"
        ) from error
    except LookupError as error:
        raise UserError(f"{location}: {error}") from error


def _fail_if_too_long(text: str, location: str, header: list[str], arguments: Arguments) -> None:
    """Raises a UserError that names the first row with more cells than the header."""
    rows = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=arguments["sep"],
        quoting=arguments.get("quoting", csv.QUOTE_MINIMAL),
    )
    line = 1
    try:
        for row in rows:
            surplus = row[len(header) :]
            if len(surplus) > 1 or any(surplus):
                raise UserError(
                    f"{location}, line {line}: {len(row)} cells, expected {len(header)} "
                    f"({', '.join(header)})"
                )
            line = rows.line_num + 1
    except csv.Error:  # a cell is too large for the csv module
        pass
