"""Masks: which token may look at which, as pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from unitf.analysis.inspecting.packed import AttentionPattern, PackedBatch

MASKED = (0.83, 0.85, 0.88)  # of pairs within a sequence that do not see each other
MOST = 900  # pixels along a side


@dataclass(frozen=True, eq=False)
class Mask:
    """One attention, and the matrices whose tokens it lets look at each other."""

    queries: PackedBatch
    keys: PackedBatch
    attention: AttentionPattern

    @property
    def title(self) -> str:
        """Who sees whom, and by what it is computed."""
        names = dict.fromkeys([self.queries.name, self.keys.name])
        sizes = f"{self.queries.num_tokens:,} × {self.keys.num_tokens:,}"
        kernel = self.attention.kernel
        kernel = kernel if len(kernel) <= 34 else f"{kernel[:33]}…"
        told = f"{' at '.join(names)}, {sizes}\nsees {self.attention.sees}"
        return f"{told}; {kernel}"


def paint(
    mask: Mask, sequences: Sequence[int], colours: Float[np.ndarray, "C 3"], most: int = MOST
) -> Float[np.ndarray, "rows columns 3"]:
    """Who sees whom in consecutive sequences; a pixel is the mean over the pairs that it covers.

    Args:
        colours: of the tokens that are looked at, by their column.
        most: pixels along a side, at most.
    """
    scope = mask.attention.scope
    rows, columns = (
        _Bins([lengths[s] for s in sequences], most)
        for lengths in (scope.lengths, scope.key_lengths)
    )
    image = np.zeros((rows.count, columns.count, 3), np.float32)
    starts = mask.keys.starts
    for number, sequence in enumerate(sequences):
        down, across = rows.of(number), columns.of(number)
        if not len(down[0]) or not len(across[0]):
            continue
        seen = scope.seen(sequence).numpy()
        own = colours[mask.keys.columns[starts[sequence] : starts[sequence + 1]]]
        for channel in range(3):  # as ink: what is missing to white
            ink = np.where(seen, 1 - own[:, channel], 1 - MASKED[channel]).astype(np.float32)
            ink = np.add.reduceat(np.add.reduceat(ink, down[1], axis=0), across[1], axis=1)
            image[down[0][:, None], across[0], channel] += ink
    covered = np.outer(rows.sizes, columns.sizes)[..., None]
    return np.clip(1 - image / np.maximum(covered, 1), 0, 1)


class _Bins:
    """The tokens of some sequences, shared out among so many pixels at most."""

    def __init__(self, lengths: Sequence[int], most: int) -> None:
        total = sum(lengths)
        self.count = max(1, min(total, most))
        self.pixels = np.arange(total) * self.count // max(total, 1)
        self.sizes = np.bincount(self.pixels, minlength=self.count)
        self.starts = np.cumsum([0, *lengths])

    def of(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The pixels of a sequence, and the first of its tokens in each."""
        own = self.pixels[self.starts[number] : self.starts[number + 1]]
        return np.unique(own, return_index=True)
