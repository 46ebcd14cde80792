"""Samples to learn from until there are real ones."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import unitf

RATES: dict[str, float] = {"slow": 1.0, "normal": 2.0, "fast": 4.0}  # beats a second


class ${Name}Examples(unitf.Source):
    """Synthetic signals of two channels at 100 steps a second, labelled slow, normal or fast.

    A sample has the columns `$name` (2 × time, two to four seconds) and `label`.

    Args:
        size: the number of training samples; validation and test have a quarter of it.
        noise: the deviation of the noise; a beat is 1 high.
    """

    def __init__(self, size: int = 1000, noise: float = 0.1) -> None:
        self.size: int = size
        self.noise: float = noise

    def read(self, split: str, root: Path) -> Sequence[dict[str, object]]:
        if split not in self.splits():
            return []
        count = self.size if split == "train" else self.size // 4
        random = np.random.default_rng(self.splits().index(split))
        return [self.sample(label, random) for label in random.choice(list(RATES), count)]

    def sample(self, label: str, random: np.random.Generator) -> dict[str, object]:
        time = np.arange(random.integers(200, 400)) / 100
        phase = time * RATES[label] * random.uniform(0.9, 1.1) + random.uniform(0, 1)
        beat = np.exp(-((phase % 1 - 0.5) ** 2) / 0.005)
        signal = np.stack([beat, -0.5 * beat]) + random.normal(0, self.noise, (2, len(time)))
        return {"$name": signal.astype(np.float32), "label": str(label)}
