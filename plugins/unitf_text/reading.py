"""Reads the text of a value."""

from unitf import UserError


def read_text(value: object) -> str:
    """Returns a raw value as text that is not empty.

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
