"""Targets that locate something within a value, so that they move with it."""

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int


def _all(values: np.ndarray) -> Int[np.ndarray, " n"]:
    return np.arange(len(values))


@dataclass(frozen=True, eq=False)
class _Objects:
    """Objects, each with its location.

    Args:
        values: a row for each object that is left.
        kept: of each of these, its number among the objects of the sample; None: all are left.
    """

    values: Float[np.ndarray, "n _"]
    kept: Int[np.ndarray, " n"] = field(default=None)  # pyright: ignore[reportAssignmentType]

    def __post_init__(self) -> None:
        if self.kept is None:  # pyright: ignore[reportUnnecessaryComparison]
            object.__setattr__(self, "kept", _all(self.values))


class Boxes(_Objects):
    """Boxes in an image: left, top, right, bottom as fractions of its width and height."""


class Points(_Objects):
    """Points in an image: x, y as fractions of its width and height."""


class Intervals(_Objects):
    """Stretches of time in a sound: begin and end in seconds."""


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A number for each pixel of an image.

    Args:
        values: the numbers.
        nothing: the number of a pixel that a change brings in.
    """

    values: Int[np.ndarray, "H W"]
    nothing: int = 0


LocatedTarget: TypeAlias = Boxes | Points | Intervals | LabelMap
"""A target in the space of a value: a tokenizer that moves what the value shows moves it too."""
