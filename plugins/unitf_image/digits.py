"""ScannedDigits: handwritten digits that need no download."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from unitf import Sample, Source

_SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


class ScannedDigits(Source):
    """The 1,797 scanned digits that come with scikit-learn: images uint8 (8, 8) and digits.

    The split is fixed and stratified by digit: 70% train, 10% validation, 20% test.

    Args:
        column: the column of the image.
        target: the column of the digit, a whole number.
    """

    def __init__(self, column: str = "image", target: str = "digit") -> None:
        self.column = column
        self.target = target

    def read(self, split: str, root: Path) -> Sequence[Sample]:
        if split not in _SHARES:
            return []
        images, digits = _scans()
        return [
            {self.column: images[index], self.target: int(digits[index])}
            for index in _indices(digits, split)
        ]


@cache
def _scans() -> tuple[np.ndarray, np.ndarray]:
    """Returns all images, uint8 (1797, 8, 8), and their digits."""
    from sklearn.datasets import load_digits  # 1 s to import

    pixels, digits = load_digits(return_X_y=True)
    scaled = np.rint(np.asarray(pixels) * (255 / 16)).astype(np.uint8)  # scanned in 17 levels
    return scaled.reshape(-1, 8, 8), np.asarray(digits)


def _indices(digits: np.ndarray, split: str) -> list[int]:
    """Returns the indices of a split in the order of scanning."""
    # RandomState's stream is frozen by NumPy, so the split is the same everywhere and for ever
    random = np.random.RandomState(0)
    ends = np.cumsum([0.0, *_SHARES.values()])
    number = list(_SHARES).index(split)
    chosen: list[int] = []
    for digit in range(10):
        members = random.permutation(np.flatnonzero(digits == digit))
        first, last = (round(float(end) * len(members)) for end in ends[number : number + 2])
        chosen.extend(members[first:last].tolist())
    return sorted(chosen)
