"""Reads single cells of a table: numbers, categories and dates."""

import math
from collections.abc import Callable
from datetime import date, datetime

import numpy as np

from unitf import UserError

DAY = 86_400.0  # seconds
_TIMES = ("", " %H:%M", " %H:%M:%S")  # by the number of colons
_EPOCH = datetime(1970, 1, 1)


def is_empty(cell: object) -> bool:
    """Returns whether a cell is empty: None, NaN, NaT, or a text of white space alone."""
    if cell is None:
        return True
    if isinstance(cell, str):
        return not cell.strip()
    if isinstance(cell, np.ndarray):
        return cell.size == 0
    return bool(cell != cell)  # NaN and NaT alone differ from themselves


# how programs and people write a number or a date that is missing
_MISSING = frozenset({"nan", "na", "n/a", "#n/a", "n.a.", "<na>", "nat", "null", "none", "-", "?"})


def is_nan_text(cell: object) -> bool:
    """Returns whether a cell is a text such as "NaN" or "n/a", instead of a number or a date."""
    return isinstance(cell, str) and cell.strip().lower() in _MISSING


def read_number(cell: object) -> float:
    """Returns a cell as a finite number.

    Raises:
        UserError: it is none.
    """
    try:
        if isinstance(cell, str) and "_" in cell:  # Python reads 1_000
            raise ValueError
        number = float(cell)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, OverflowError):
        number = math.inf
    if not math.isfinite(number):
        hint = ""
        if isinstance(cell, str) and _is_number(swapped := cell.replace(",", ".")):
            hint = f" such as {swapped.strip()}"
        raise UserError(f"found {str(cell)[:60]!r}, expected a finite number{hint}")
    return number


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def read_category(cell: object) -> str:
    """Returns the name of a category, in one spelling for 1, 1.0 and "1".

    Raises:
        UserError: the cell is no text, number or boolean.
    """
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if not isinstance(cell, str | int | float):
        raise UserError(f"found {type(cell).__name__} {str(cell)[:60]!r}, expected a category")
    text = " ".join(str(cell).split())
    # pandas writes the category 1 as 1.0 in a column with empty cells
    return text.removesuffix(".0") if text.removesuffix(".0").isdecimal() else text


def date_reader(pattern: str | None) -> Callable[[object], datetime]:
    """Returns what reads cells as dates.

    Args:
        pattern: how dates are written, as `%m/%d/%Y`; None: as ISO 8601 says (`2024-05-31 14:30`),
            or with points (`31.5.2024 14:30`).
    """

    def read(cell: object) -> datetime:
        if isinstance(cell, np.datetime64):
            cell = cell.astype("datetime64[us]").item()
        if isinstance(cell, datetime):
            return cell.replace(tzinfo=None)
        if isinstance(cell, date):
            return datetime(cell.year, cell.month, cell.day)
        try:
            text = str(cell).strip()
            found = datetime.strptime(text, pattern) if pattern else _date(text)
        except ValueError:
            like = pattern or (
                "2024-05-31, 2024-05-31T14:30 or 31.5.2024 (date_format names another form)"
            )
            raise UserError(f"found {str(cell)[:60]!r}, expected a date like {like}") from None
        return found.replace(tzinfo=None)

    return read


def _date(text: str) -> datetime:
    """Returns a date of ISO 8601, or with points: the day is then before the month everywhere.

    Raises:
        ValueError: it is none.
    """
    if text.partition(" ")[0].count(".") != 2:
        return datetime.fromisoformat(text)
    return datetime.strptime(text, "%d.%m.%Y" + _TIMES[text.count(":") % len(_TIMES)])


def date_parts(moment: datetime) -> tuple[float, float, float, float]:
    """Returns a date as its days since 1970, and its phases from 0 to 1 in year, week and day."""
    days = (moment - _EPOCH).total_seconds() / DAY
    first = datetime(moment.year, 1, 1)
    length = 366 if moment.year % 4 == 0 and (moment.year % 100 or moment.year % 400 == 0) else 365
    year = (moment - first).total_seconds() / DAY / length
    # day 0 was a Thursday
    return days, year, (days + 3) / 7 % 1, days % 1
