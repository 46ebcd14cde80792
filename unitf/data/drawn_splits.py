"""DrawnSplits: the splits that are drawn from the training samples of a source without them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unitf.batch import Sample
from unitf.data.held_out import held_out
from unitf.data.split import Subset


@dataclass(frozen=True)
class DrawnSplits:
    """The numbers of the training samples that each split takes; none: nothing is drawn."""

    parts: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of_samples(
        cls,
        train: Sequence[Sample],
        fractions: Mapping[str, float],
        targets: Sequence[str],
        root: Path,
    ) -> "DrawnSplits":
        """Draws splits from training samples.

        Nothing is drawn from samples that differ in each epoch, because they may overlap, nor from
        so few that a split would be empty.

        Args:
            train: the training samples of a source.
            fractions: the fraction of each split.
            targets: columns that may hold the class of a sample.
            root: the folder of the data.
        """
        if len(train) * min(fractions.values()) < 1 or hasattr(train, "at"):
            return cls()
        return cls(held_out(train, fractions, targets, root))

    def of(self, split: str, train: Sequence[Sample]) -> Sequence[Sample]:
        """Returns the samples of a drawn split; `train` are the training samples of the source."""
        return Subset(train, self.parts[split])

    def __str__(self) -> str:
        counts = {split: len(part) for split, part in self.parts.items() if split != "train"}
        drawn = " and ".join(f"{count:,} samples for {split}" for split, count in counts.items())
        return f"{drawn} are drawn from {sum(map(len, self.parts.values())):,} training samples"
