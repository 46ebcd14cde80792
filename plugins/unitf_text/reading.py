"""Reads the text of a value."""

import math
from datetime import date, datetime, time

import numpy as np

from unitf import UserError


def read_text(value: object) -> str:
    """Returns a raw value as text that is not empty.

    A number, a boolean or a date of a table is the text that stands for it: in a column of texts
    "2024" is one, whatever the format of the file makes of it.

    Raises:
        UserError: the value is not text (pandas puts NaN into an empty cell), is empty, or is not
            Unicode.
    """
    if isinstance(value, bytes | bytearray):
        try:
            value = bytes(value).decode()
        except UnicodeDecodeError as error:
            raise UserError(
                f"expected UTF-8 text, found byte {error.object[error.start]:#04x} "
                f"at byte {error.start}"
            ) from None
    value = _written(value)
    if not isinstance(value, str):
        shown = repr(value)
        raise UserError(
            f"expected text, found {type(value).__name__} {shown[:40]}{'…' * (len(shown) > 40)}"
        )
    if not value:
        raise UserError("empty text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"expected Unicode text, found half of a surrogate pair at character {error.start}"
        ) from None
    return value


def _written(value: object) -> object:
    """Returns the text of a number, a boolean or a date; other values as they are."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, datetime):
        value = value.date() if value.time() == time() else value
        return str(value)
    is_number = isinstance(value, int) or (isinstance(value, float) and not math.isnan(value))
    return str(value) if is_number or isinstance(value, date) else value
