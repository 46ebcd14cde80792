"""Checks the settings of an image tokenizer."""

from unitf import UserError
from unitf_image.resizing import Size

Pair = int | tuple[int, int] | list[int]  # for both axes, or (rows, columns); YAML has no tuple


def pair(name: str, value: Pair) -> Size:
    """Returns (rows, columns) from one number for both axes, or two numbers."""
    both = (value, value) if isinstance(value, int) else tuple(value)
    if len(both) != 2 or min(both) < 1:
        raise UserError(f"{name}: expected whole numbers from 1 on, one or two, found {value}")
    return both


def whole_number(name: str, value: int, least: int) -> int:
    if value < least:
        raise UserError(f"{name}: expected a whole number from {least} on, found {value}")
    return value


def per_channel(name: str, value: float | list[float] | None, channels: int) -> list[float] | None:
    """Returns a number for each channel; None: it is learned."""
    if value is None:
        return None
    numbers = list(value) if isinstance(value, list | tuple) else [float(value)] * channels
    if len(numbers) != channels:
        raise UserError(f"{name}: expected one number or {channels}, found {len(numbers)}")
    if name == "std" and min(numbers) <= 0:
        raise UserError(f"{name}: expected numbers above 0, found {value}")
    return numbers
