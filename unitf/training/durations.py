"""Durations as people write them: 90s, 10m, 1h30m."""

import re

from unitf.errors import UserError

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_WRITTEN = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def seconds_of(text: str, key: str) -> float:
    """Returns the seconds of a duration such as 90s, 10m or 1h30m.

    Args:
        text: the duration.
        key: where it stands, for the message.

    Raises:
        UserError: it is no duration, or none above 0.
    """
    match = _WRITTEN.fullmatch(text.strip().lower().replace(" ", ""))
    seconds = 0.0
    if match is not None:
        numbers = zip(match.groups(), _SECONDS.values(), strict=True)
        seconds = sum(float(number) * unit for number, unit in numbers if number)
    if seconds <= 0:
        raise UserError(f"{key}: found {text!r}, expected a duration such as 90s, 10m or 1h30m")
    return seconds


def clock(seconds: float) -> str:
    """Returns seconds as a person says them: 45 s, 9 min 20 s, 1 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
