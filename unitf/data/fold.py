"""Fold: the part of the training samples that one run of a cross-validation holds out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from unitf.batch import Sample
from unitf.data.held_out import held_out
from unitf.errors import UserError, did_you_mean


@runtime_checkable
class Overlapping(Protocol):
    """Samples that are cut from something longer, so that two of them may share a part."""

    def __len__(self) -> int: ...
    def extent(self, index: int, /) -> tuple[int, int]:
        """Returns where a sample begins and ends; both rise with the number of the sample."""
        ...


@dataclass(frozen=True)
class Fold:
    """Holds out one of `count` parts of the training samples, for validation.

    The parts are drawn by a hash of each sample, within each class, as by `data.held_out`; equal
    samples are never parted. Windows of a series are parted into stretches, and training windows
    that overlap the held out ones are left out.

    Args:
        number: the part that is held out, from 1.
        count: the number of parts.
        group: a column; samples with the same value in it are never parted.
    """

    number: int
    count: int
    group: str | None = None

    def __post_init__(self) -> None:
        if self.count < 2 or not 1 <= self.number <= self.count:
            raise UserError(
                f"data.fold: expected a number from 1 to count, and a count from 2, found number "
                f"{self.number} and count {self.count}"
            )

    def parts(
        self, samples: Sequence[Sample], targets: Sequence[str], root: Path, location: str
    ) -> Mapping[str, np.ndarray]:
        """Returns the numbers of the samples for training and for validation.

        Args:
            samples: the training samples of a source.
            targets: columns that may hold the class of a sample.
            root: the folder of the data.
            location: the source, for error messages.

        Raises:
            UserError: the samples cannot be parted, or a part would be empty.
        """
        if isinstance(samples, Overlapping):
            parts = self._stretch(samples)
        elif hasattr(samples, "at"):
            raise UserError(
                f"{location}: its training samples differ in each epoch, expected ones that can be "
                "parted (data.fold)"
            )
        else:
            parts = self._drawn(samples, targets, root, location)
        if not all(len(part) for part in parts.values()):
            raise UserError(
                f"{location}: part {self.number} of {self.count} has "
                f"{len(parts['validation'])} of {len(samples)} samples, expected some in and "
                "outside of it (data.fold)"
            )
        return parts

    def _drawn(
        self, samples: Sequence[Sample], targets: Sequence[str], root: Path, location: str
    ) -> dict[str, np.ndarray]:
        if self.group is not None:
            samples, targets = self._groups(samples, location), ()
        names = [str(number) for number in range(1, self.count)]  # the last one is the rest
        drawn = held_out(samples, dict.fromkeys(names, 1 / self.count), targets, root)
        part = drawn[str(self.number) if self.number < self.count else "train"]
        return {"train": np.setdiff1d(np.arange(len(samples)), part), "validation": part}

    def _groups(self, samples: Sequence[Sample], location: str) -> list[Sample]:
        """Returns the samples with nothing but their group, so that those of one are equal."""
        column = str(self.group)
        groups: list[Sample] = []
        for index in range(len(samples)):
            if (value := samples[index].get(column)) is None:
                known = did_you_mean(column, samples[index])
                raise UserError(f"{location}: sample {index} has no {column!r}{known} (data.fold)")
            groups.append({column: value})
        return groups

    def _stretch(self, samples: Overlapping) -> dict[str, np.ndarray]:
        bounds = [round(len(samples) * n / self.count) for n in (self.number - 1, self.number)]
        part = np.arange(*bounds)
        if not len(part):
            return {"train": part, "validation": part}
        begin, end = samples.extent(bounds[0])[0], samples.extent(bounds[1] - 1)[1]
        extents = map(samples.extent, range(len(samples)))
        apart = [first >= end or last <= begin for first, last in extents]
        return {"train": np.flatnonzero(apart), "validation": part}
