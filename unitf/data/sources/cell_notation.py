"""Sees how a .csv is written: its encoding, what stands between cells and before decimals."""

import codecs
import csv
import io
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyarrow import ChunkedArray
    from pyarrow import Table as ArrowTable
else:  # slow to import
    ArrowTable = ChunkedArray = object

HEAD: int = 1 << 16  # characters that show the separator
GUESSED: str = "cp1252"  # what Excel writes in Western Europe and America
_OTHERS = (";", "\t", "|")
_UNUSED = frozenset(b"\x00\x81\x8d\x8f\x90\x9d")  # in no text of the guessed encoding
_ROWS = 50
# 1,5 and 0,125; 1,234 may be more than a thousand
_WITH_COMMA = r"^\s*[+-]?((\d+|[1-9]\d{0,2}(\.\d{3})+),(\d{1,2}|\d{4,})|0,\d+)\s*$"
_NUMBER = r"^\s*[+-]?(\d+|[1-9]\d{0,2}(\.\d{3})+)(,\d+)?\s*$"


def encoding_of(data: bytes) -> str:
    """Returns the encoding of a text: UTF-8, UTF-16 with its mark, or else a guess."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return GUESSED if not set(data) & _UNUSED else "utf-8"
    return "utf-8"


def separator_of(head: str, usual: str = ",") -> str:
    """Returns what stands between the cells of a .csv: the usual separator, `;`, a tab or `|`.

    It is what cuts the header into the most cells, and no row into more than the header.

    Args:
        head: the first characters of the file, perhaps with half a row at their end.
        usual: what is returned if others fit no better.
    """
    widths = {separator: _width(head, separator) for separator in (usual, *_OTHERS)}
    return max(widths, key=lambda separator: widths[separator])


def _width(head: str, separator: str) -> int:
    """Returns the number of cells of the header; 0: it has one, or a row has more."""
    rows = csv.reader(io.StringIO(head, newline=""), delimiter=separator)
    try:
        widths = [len(row) for row in islice(rows, _ROWS) if row]
    except csv.Error:  # a cell is too large for the csv module
        return 0
    return widths[0] if widths and 1 < widths[0] == max(widths) else 0


def with_decimal_points(table: ArrowTable) -> tuple[ArrowTable, list[str]]:
    """Returns a table of texts with `1.510,5` as `1510.5`, and the columns of decimal commas.

    A column of them has a number such as `1,5`, and no cell with a digit that is no such number.
    If there is one, `1.510` and `1,125` are read so too in all columns of the file. `1,125` alone
    may be a thousand, and remains.
    """
    commas = [name for name in table.column_names if _has_commas(table[name])]
    if commas:
        for place, name in enumerate(table.column_names):
            if _are_numbers(table[name]):
                table = table.set_column(place, table.field(place), _pointed(table[name]))
    return table, commas


def _compute() -> Any:
    import pyarrow.compute  # its functions are made when it is imported

    return pyarrow.compute


def _has_commas(column: ChunkedArray) -> bool:
    pc = _compute()
    found = pc.any(pc.match_substring_regex(column, _WITH_COMMA)).as_py()
    return bool(found) and _are_numbers(column)


def _are_numbers(column: ChunkedArray) -> bool:
    pc = _compute()
    with_digit = column.filter(pc.match_substring_regex(column, r"\d"))
    return pc.all(pc.match_substring_regex(with_digit, _NUMBER)).as_py() is not False


def _pointed(column: ChunkedArray) -> ChunkedArray:
    pc = _compute()
    is_number = pc.match_substring_regex(column, _NUMBER)
    plain = pc.replace_substring(pc.replace_substring(column, ".", ""), ",", ".")
    return pc.if_else(pc.fill_null(is_number, False), plain, column)
