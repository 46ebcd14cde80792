"""Paints attention masks: which token may attend to which, as pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from unitf.analysis.inspecting.packed import AttentionPattern, PackedBatch

MASKED: tuple[float, float, float] = (0.83, 0.85, 0.88)  # of masked pairs within a sequence
MOST: int = 900  # pixels along a side


@dataclass(frozen=True, eq=False)
class Mask:
    """One attention, with the matrices of its queries and its keys."""

    queries: PackedBatch
    keys: PackedBatch
    attention: AttentionPattern

    @property
    def title(self) -> str:
        """Which tokens see which, and the kernel that computes it."""
        names = dict.fromkeys([self.queries.name, self.keys.name])
        sizes = f"{self.queries.num_tokens:,} × {self.keys.num_tokens:,}"
        kernel = self.attention.kernel
        kernel = kernel if len(kernel) <= 34 else f"{kernel[:33]}…"
        return f"{' at '.join(names)}, {sizes}\nsees {self.attention.sees}; {kernel}"


def paint(
    mask: Mask, sequences: Sequence[int], colours: Float[np.ndarray, "C 3"], most: int = MOST
) -> Float[np.ndarray, "rows columns 3"]:
    """Paints a mask for consecutive sequences; a pixel is the mean over the pairs that it covers.

    Args:
        mask: the mask.
        sequences: their numbers in the batch.
        colours: the colour of each column, for the tokens that are attended to.
        most: the largest number of pixels along a side.
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
        key_colours = colours[mask.keys.columns[starts[sequence] : starts[sequence + 1]]]
        for channel in range(3):  # as ink: the difference from white
            ink = np.where(seen, 1 - key_colours[:, channel], 1 - MASKED[channel]).astype(
                np.float32
            )
            ink = np.add.reduceat(np.add.reduceat(ink, down[1], axis=0), across[1], axis=1)
            image[down[0][:, None], across[0], channel] += ink
    covered = np.outer(rows.sizes, columns.sizes)[..., None]
    return np.clip(1 - image / np.maximum(covered, 1), 0, 1)


class _Bins:
    """Assigns the tokens of some sequences to at most `most` pixels."""

    def __init__(self, lengths: Sequence[int], most: int) -> None:
        total = sum(lengths)
        self.count: int = max(1, min(total, most))
        self.pixels = np.arange(total) * self.count // max(total, 1)
        self.sizes = np.bincount(self.pixels, minlength=self.count)
        self.starts = np.cumsum([0, *lengths])

    def of(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the pixels of a sequence, and its first token in each pixel."""
        pixels = self.pixels[self.starts[number] : self.starts[number + 1]]
        return np.unique(pixels, return_index=True)
