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
    def of_source(
        cls,
        given: Mapping[str, Sequence[Sample]],
        fraction: float,
        targets: Sequence[str],
        root: Path,
    ) -> "DrawnSplits":
        """Draws the splits that a source lacks.

        Nothing is drawn from samples that differ in each epoch, because they may overlap.

        Args:
            given: the samples that the source has for each split.
            fraction: of the training samples, for each split.
            targets: columns that may hold the class of a sample.
            root: the folder of the data.
        """
        train = given["train"]
        has_test = any(len(samples) for split, samples in given.items() if split.startswith("test"))
        if len(given["validation"]) or len(train) * fraction < 1 or hasattr(train, "at"):
            return cls()
        wanted = ["validation"] if has_test else ["validation", "test"]
        return cls(held_out(train, dict.fromkeys(wanted, fraction), targets, root))

    def of(self, split: str, train: Sequence[Sample]) -> Sequence[Sample]:
        """Returns the samples of a drawn split; `train` are the training samples of the source."""
        return Subset(train, self.parts[split])

    def __str__(self) -> str:
        counts = {split: len(part) for split, part in self.parts.items() if split != "train"}
        drawn = " and ".join(f"{count:,} samples for {split}" for split, count in counts.items())
        return f"{drawn} are drawn from {sum(map(len, self.parts.values())):,} training samples"
