"""Scale: the mean and the deviation of the columns of a series."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Scale:
    """The mean and the deviation of each column; NaN of a column that is never known."""

    mean: Float[np.ndarray, " C"]
    deviation: Float[np.ndarray, " C"]

    @classmethod
    def none(cls, count: int) -> "Scale":
        """Returns the scale that changes nothing."""
        return cls(np.zeros(count), np.ones(count))

    @classmethod
    def of(cls, values: Float[np.ndarray, "T C"]) -> "Scale":
        """Returns mean and deviation of some rows; the deviation of what never moves is 1."""
        known = np.isfinite(values)
        counts = np.where(known.any(0), known.sum(0), np.nan)
        mean = np.nan_to_num(values).sum(0) / counts
        squares = np.where(known, np.square(np.nan_to_num(values) - mean), 0.0).sum(0)
        deviation = np.sqrt(squares / counts)
        return cls(mean, np.where(deviation == 0, 1.0, deviation))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Returns numbers in deviations from the mean."""
        return (values - self.mean) / self.deviation

    def undo(self, values: np.ndarray, columns: slice) -> np.ndarray:
        """Returns numbers of some columns in their own unit again."""
        return values * self.deviation[columns] + self.mean[columns]


def scales_of(rows: Sequence[np.ndarray]) -> list[Scale]:
    """Returns the scale of the training rows of each series.

    Rows are (T, C), of another T for each series. A column that a series never has there gets the
    scale of that column in all series.
    """
    together = Scale.of(np.concatenate(rows))
    mean = np.nan_to_num(together.mean)
    deviation = np.nan_to_num(together.deviation, nan=1.0)
    found: list[Scale] = []
    for one in map(Scale.of, rows):
        lacks = np.isnan(one.mean)
        found.append(
            Scale(np.where(lacks, mean, one.mean), np.where(lacks, deviation, one.deviation))
        )
    return found
