"""Packed rows in another order, or padded, and back; made from lengths known on the host."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unitf.nn.typed import from_numpy, split, unflatten


class Sorting:
    """Packed rows in the order of groups of sequences, and back.

    Args:
        groups: the numbers of the sequences of each group.
    """

    def __init__(
        self, lengths: Sequence[int], groups: Sequence[Sequence[int]], device: torch.device
    ) -> None:
        starts = np.cumsum([0, *lengths])
        runs = [
            np.arange(int(starts[number]), int(starts[number + 1]))
            for members in groups
            for number in members
        ]
        order = np.concatenate(runs)
        self.sizes: list[int] = [sum(lengths[number] for number in members) for members in groups]
        self.order: Tensor = from_numpy(order, device)
        self.inverse: Tensor = from_numpy(np.argsort(order), device)

    def apart(self, rows: Tensor) -> Sequence[Tensor]:
        """Returns the rows of each group; `rows` are (N, …)."""
        return split(rows.index_select(0, self.order), self.sizes)

    def together(self, parts: Sequence[Tensor]) -> Tensor:
        """Returns the rows of all groups, (N, …), in their first order."""
        return torch.cat(list(parts)).index_select(0, self.inverse)


class Padding:
    """Packed rows (N, …) as (S, L, …), padded with zeros at the end, and back."""

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self.num_sequences: int = len(lengths)
        self.longest: int = max(lengths)
        # where each row goes; None: the sequences are equally long and need no padding
        self.index: Tensor | None = None
        if min(lengths) == self.longest:
            return
        starts = range(0, len(lengths) * self.longest, self.longest)
        runs = [np.arange(start, start + n) for start, n in zip(starts, lengths, strict=True)]
        self.index = from_numpy(np.concatenate(runs), device)

    def pad(self, rows: Tensor) -> Tensor:
        """Returns the packed rows (N, …) as (S, L, …)."""
        sizes = (self.num_sequences, self.longest)
        if self.index is None:
            return unflatten(rows, 0, sizes)
        padded = rows.new_zeros(self.num_sequences * self.longest, *rows.shape[1:])
        padded.index_copy_(0, self.index, rows)  # out of place it is ten times slower
        return unflatten(padded, 0, sizes)

    def unpad(self, padded: Tensor) -> Tensor:
        """Returns the real rows, (N, …), of (S, L, …)."""
        rows = padded.flatten(0, 1)
        return rows if self.index is None else rows.index_select(0, self.index)


def positions_per_sequence(
    positions: Float[Tensor, "P N"] | None, num_sequences: int
) -> Float[Tensor, "S P L"] | None:
    """Returns the positions of equally long sequences, one sequence after the other.

    S is 1 where it is known on the host that all sequences have the same positions.
    """
    if positions is None:
        return None
    apart = unflatten(positions, 1, (num_sequences, -1)).transpose(0, 1)
    # on another device the comparison would have to be waited for
    if apart.device.type == "cpu" and torch.equal(apart[1:], apart[:-1]):
        return apart[:1]
    return apart
