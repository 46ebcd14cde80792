"""Split: which samples of a data set are for training, validation and test."""

import math
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TypeAlias, TypeGuard, overload

import numpy as np

from unitf.batch import Sample
from unitf.errors import UserError, did_you_mean
from unitf.spelling import composed

Part: TypeAlias = int | float | str | list[int | str]


@dataclass(frozen=True)
class Split:
    """Takes parts of the training samples for the other splits; the rest is for training.

    Args:
        parts: for each split the part that it takes. A fraction between 0 and 1 takes that fraction
            of the samples that no value takes, drawn with `seed` (train: by default the rest).
            Any other part is a value of `column` (`george`), a list of values
            (`[george, lucas]`), or a range of whole numbers, both ends included (`0-4`).
        column: the column whose values `parts` names.
        seed: of the drawing. It does not depend on the seed of the run.
        per_class: to train on few labels: the column of the labels, and the largest number of
            training samples of each label (`{label: 100}`), drawn with `seed`. The other samples
            are left out.
    """

    parts: dict[str, Part] = field(default_factory=dict)
    column: str | None = None
    seed: int = 0
    per_class: dict[str, int] | None = None

    def __post_init__(self) -> None:
        fractions = [part for part in self.parts.values() if _is_fraction(part)]
        if math.fsum(fractions) > 1 + 1e-9:
            raise UserError(
                f"split.parts: expected fractions of at most 1 in all, found {fractions}"
            )
        if self.per_class is not None and (
            len(self.per_class) != 1 or min(self.per_class.values()) < 1
        ):
            raise UserError(
                f"split.per_class: expected one column and a number from 1, as {{label: 100}}, "
                f"found {self.per_class}"
            )
        for name, part in self.parts.items():
            if self.column is None and not _is_fraction(part):
                raise UserError(
                    f"split.parts.{name}: found {part}, expected a fraction from 0 to 1, "
                    "or split.column, whose value it is"
                )

    def choose(self, split: str, samples: Sequence[Sample], location: str) -> np.ndarray:
        """Returns the numbers of the samples that belong to a split.

        Args:
            split: the name of the split.
            samples: all samples of the file.
            location: the source, for error messages.

        Raises:
            UserError: the split is empty, or `column` is missing.
        """
        taken: dict[str, np.ndarray] = {}
        by_value = {name: part for name, part in self.parts.items() if not _is_fraction(part)}
        if by_value and self.column is not None:
            values = self._values(samples, self.column, location)
            for name, part in by_value.items():
                taken[name] = np.flatnonzero([_matches(value, part) for value in values])
                if len(taken[name]) == 0:
                    raise UserError(
                        f"{location}: no sample has {self.column} {part} (split {name})"
                        + did_you_mean(str(part), values)
                    )
        # the other parts take their samples from those for training
        for one, other in overlapping([name for name in by_value if name != "train"]):
            if len(both := np.intersect1d(taken[one], taken[other])):
                raise UserError(
                    f"{location}: parts {one} and {other} have {len(both)} samples in common"
                )
        others = np.concatenate([np.zeros(0, int), *(taken[n] for n in taken if n != "train")])
        rest = np.setdiff1d(taken.get("train", np.arange(len(samples))), others)
        order = np.random.default_rng(self.seed).permutation(rest)
        first = 0
        for name, part in self.parts.items():
            if _is_fraction(part):
                last = first + round(part * len(rest))
                taken[name] = np.sort(order[first:last])
                first = last
        if not _is_fraction(self.parts.get("train", "")):
            taken["train"] = np.sort(order[first:])
        if self.per_class is not None:
            taken["train"] = self._few(taken["train"], samples, location)
        chosen = taken[split]
        if len(chosen) == 0:
            raise UserError(f"{location}: split {split} is empty ({len(samples)} samples in all)")
        return chosen

    def _few(self, training: np.ndarray, samples: Sequence[Sample], location: str) -> np.ndarray:
        """Draws at most as many training samples of each class as `per_class` allows."""
        [(column, count)] = (self.per_class or {}).items()
        values = self._values(Subset(samples, training), column, location)
        seen: Counter[Hashable] = Counter()
        kept: list[int] = []
        for number in np.random.default_rng(self.seed).permutation(len(training)):
            value = values[number]
            if not isinstance(value, Hashable):
                raise UserError(
                    f"{location}: split.per_class: {column} is a {type(value).__name__}, "
                    "expected one label a sample"
                )
            seen[value] += 1
            if seen[value] <= count:
                kept.append(int(training[number]))
        return np.sort(np.array(kept, int))

    def _values(self, samples: Sequence[Sample], column: str, location: str) -> list[object]:
        if len(samples) and column not in samples[0]:
            raise UserError(
                f"{location}: no column {column!r} to split by" + did_you_mean(column, samples[0])
            )
        return [sample[column] for sample in samples]


class Subset(Sequence[Sample]):
    """Some of the samples of a sequence.

    Args:
        samples: all samples.
        indices: the numbers of the chosen ones.
    """

    def __init__(self, samples: Sequence[Sample], indices: Sequence[int] | np.ndarray) -> None:
        self.samples: Sequence[Sample] = samples
        self.indices: Sequence[int] | np.ndarray = indices

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return Subset(self.samples, self.indices[index])
        return self.samples[int(self.indices[index])]

    def name(self, index: int) -> str:
        """Returns the name of a sample for messages, or "" if the samples have no names."""
        name = getattr(self.samples, "name", None)
        return name(int(self.indices[index])) if name else ""

    def beside(self, index: int, name: str) -> str | bytes | None:
        """Returns the file that a sample names: its path or its bytes; None: there is none."""
        beside = getattr(self.samples, "beside", None)
        return beside(int(self.indices[index]), name) if beside else None


def check_names(names: Iterable[str], location: str) -> None:
    """Checks names of splits.

    Raises:
        UserError: a name is neither train, validation nor one that begins with "test".
    """
    for name in names:
        if name not in ("train", "validation") and not name.startswith("test"):
            known = did_you_mean(name, ("train", "validation", "test", "test_…"))
            raise UserError(f"{location}: unknown split {name!r}{known}")


def checked_split(split: object, location: str) -> Split:
    """Returns a split; None is one that takes nothing.

    Raises:
        UserError: it is something else.
    """
    if split is None:
        return Split()
    if not isinstance(split, Split):
        kind = type(split).__name__
        raise UserError(f"{location}: split: found {kind}, expected unitf.data.Split(parts={{…}})")
    return split


def overlapping(names: Collection[str]) -> list[tuple[str, str]]:
    """Returns the pairs of splits that must have no sample in common; two tests may share some."""
    return [
        (one, other)
        for one, other in combinations(names, 2)
        if not (one.startswith("test") and other.startswith("test"))
    ]


def _is_fraction(part: Part) -> TypeGuard[float]:
    return isinstance(part, float) and 0 < part < 1


def _matches(value: object, part: Part) -> bool:
    if isinstance(part, list):
        return any(_matches(value, one) for one in part)
    low, dash, high = str(part).partition("-")
    if dash and low.isdigit() and high.isdigit() and str(value).isdigit():
        return int(low) <= int(str(value)) <= int(high)
    return composed(str(value)) == composed(str(part))
