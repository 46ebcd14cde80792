"""What a person sees, hears or reads of a raw value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
from jaxtyping import Float
from torch import Tensor

from unitf.features import RawValue

LONGEST: int = 2_000  # characters of a text


@dataclass(frozen=True)
class Media:
    """A picture, a sound or a video, as the bytes of a file that a browser shows.

    Args:
        content: the bytes; at most some hundred kB, because a page holds many of them.
        media_type: the kind of the file: "image/png", "audio/wav", "video/mp4", …
    """

    content: bytes
    media_type: str


@dataclass(frozen=True, eq=False)
class Curves:
    """Numbers over time, which are drawn as one curve for each column.

    Args:
        values: the numbers; NaN leaves a gap.
        names: a name of each column, where they have names.
    """

    values: Float[np.ndarray, "T C"]
    names: tuple[str, ...] = ()


Shown: TypeAlias = str | Media | Curves | Mapping[str, str]
"""A text, a file that a browser shows, curves, or cells by the name of their column."""


def described(value: RawValue) -> Shown:
    """Returns a raw value as text, or a dictionary as cells; arrays and bytes by their size."""
    if isinstance(value, Mapping):
        cells = cast("Mapping[object, object]", value)
        return {str(name): _text(cell) for name, cell in cells.items()}
    return _text(value)


def _text(value: object) -> str:
    if isinstance(value, Tensor):
        return _size(value.detach().cpu().float().numpy())  # pyright: ignore[reportUnknownMemberType]
    if isinstance(value, np.ndarray):
        return _size(cast("np.ndarray", value))
    if isinstance(value, bytes | bytearray):
        return f"{len(value):,} bytes"
    if isinstance(value, list | tuple):
        parts = cast("list[object]", value)
        more = ["…"] if len(parts) > 20 else []
        return _shortened(", ".join([*map(_text, parts[:20]), *more]))
    if isinstance(value, np.generic):
        return _text(cast("object", value.item()))
    if isinstance(value, float):
        return f"{value:.6g}"
    return _shortened(str(value))


def _size(array: np.ndarray) -> str:
    if array.ndim == 0:
        return _text(array.item())
    shape = "×".join(f"{size:,}" for size in array.shape)
    if array.dtype.kind not in "fiub" or not array.size:
        return f"{shape} values of {array.dtype}"
    numbers = array.astype(np.float64)
    known = numbers[np.isfinite(numbers)]
    bounds = f" from {known.min():.4g} to {known.max():.4g}" if known.size else ""
    return f"{shape} numbers{bounds}"


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
