"""Split: which samples of a data set are held out, and for what, and how many are learned from."""

import math
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from unitf.batch import Sample
from unitf.errors import UserError, did_you_mean

Part = int | float | str | list[int] | list[str]


@dataclass(frozen=True)
class Split:
    """Parts of the training samples for the other splits; what no part takes is for training.

    Args:
        parts: for each split what it takes. A fraction between 0 and 1: so many of the samples
            that the other parts leave, drawn by `seed` (for train: by default all that is left).
            Otherwise a value of `column` (`george`), several (`[george, lucas]`), or a range of
            whole numbers with both ends (`0-4`).
        column: the column whose values `parts` name.
        seed: of the draw; the same for the same data set, whatever the run's seed.
        per_class: to learn from few labels: the column that holds them, and at most how many
            samples of each are for training (`{label: 100}`), drawn by `seed`; the others are left
            out.
    """

    parts: dict[str, Part] = field(default_factory=dict)
    column: str | None = None
    seed: int = 0
    per_class: dict[str, int] | None = None

    def __post_init__(self) -> None:
        shares = [part for part in self.parts.values() if _is_fraction(part)]
        if math.fsum(shares) > 1 + 1e-9:  # type: ignore[arg-type]
            raise UserError(f"split.parts: expected fractions of at most 1 in all, found {shares}")
        if self.per_class is not None and (
            len(self.per_class) != 1 or min(self.per_class.values()) < 1
        ):
            raise UserError(
                f"split.per_class: expected one column and a number from 1, as {{label: 100}}, "
                f"found {self.per_class}"
            )

    def choose(self, split: str, samples: Sequence[Sample], location: str) -> np.ndarray:
        """The numbers of the samples that belong to a split.

        Raises:
            UserError: the split would be empty, or `column` is missing.
        """
        taken: dict[str, np.ndarray] = {}
        by_value = {name: part for name, part in self.parts.items() if not _is_fraction(part)}
        if by_value:
            values = self._values(samples, self.column, location)
            for name, part in by_value.items():
                taken[name] = np.flatnonzero([_matches(value, part) for value in values])
                if len(taken[name]) == 0:
                    raise UserError(
                        f"{location}: no sample has {self.column} {part} (split {name})"
                        + did_you_mean(str(part), values)
                    )
        # what is for training is what the other parts leave of it
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
                last = first + round(float(part) * len(rest))  # type: ignore[arg-type]
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
        """At most so many samples of each class as `per_class` says, spread over all of them."""
        [(column, count)] = (self.per_class or {}).items()
        values = self._values(Subset(samples, training), column, location)
        seen: Counter[Any] = Counter()
        kept = []
        for number in np.random.default_rng(self.seed).permutation(len(training)):
            value = values[number]
            if not isinstance(value, Hashable):
                raise UserError(
                    f"{location}: split.per_class: {column} is a {type(value).__name__}, "
                    "expected one label a sample"
                )
            seen[value] += 1
            if seen[value] <= count:
                kept.append(training[number])
        return np.sort(np.array(kept, int))

    def _values(self, samples: Sequence[Sample], column: str | None, location: str) -> list[Any]:
        if column is None:
            raise UserError(f"{location}: parts {self.parts} name values, but there is no column")
        if len(samples) and column not in samples[0]:
            raise UserError(
                f"{location}: no column {column!r} to split by" + did_you_mean(column, samples[0])
            )
        return [sample[column] for sample in samples]


class Subset(Sequence):
    """Some of the samples of a sequence, by their numbers."""

    def __init__(self, samples: Sequence[Sample], indices: Sequence[int] | np.ndarray) -> None:
        self.samples = samples
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        return self.samples[int(self.indices[index])]

    def name(self, index: int) -> str:
        """What a person calls the sample, if its reader knows."""
        name = getattr(self.samples, "name", None)
        return name(int(self.indices[index])) if name else ""


def check_names(names: Iterable[str], location: str) -> None:
    """Raises UserError if one is no name of a split."""
    for name in names:
        if name not in ("train", "validation") and not name.startswith("test"):
            known = did_you_mean(name, ("train", "validation", "test", "test_…"))
            raise UserError(f"{location}: unknown split {name!r}{known}")


def overlapping(names: Collection[str]) -> list[tuple[str, str]]:
    """The pairs of splits that may have no sample in common: only a test may be part of another."""
    return [
        (one, other)
        for one, other in combinations(names, 2)
        if not (one.startswith("test") and other.startswith("test"))
    ]


def _is_fraction(part: Part) -> bool:
    return isinstance(part, float) and 0 < part < 1


def _matches(value: Any, part: Part) -> bool:
    if isinstance(part, list):
        return any(_matches(value, one) for one in part)
    low, dash, high = str(part).partition("-")
    if dash and low.isdigit() and high.isdigit() and str(value).isdigit():
        return int(low) <= int(value) <= int(high)
    return str(value) == str(part)
