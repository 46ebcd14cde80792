"""Packed rows in another order, or padded, and back; made from lengths known on the host."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class Sorting:
    """Rows in the order of their groups, and back."""

    def __init__(
        self, lengths: Sequence[int], groups: Sequence[Sequence[int]], device: torch.device
    ) -> None:
        starts = np.cumsum([0, *lengths])
        runs = [np.arange(starts[n], starts[n + 1]) for members in groups for n in members]
        order = np.concatenate(runs)
        self.sizes = [sum(lengths[number] for number in members) for members in groups]
        self.order = torch.from_numpy(order).to(device, non_blocking=True)
        self.inverse = torch.from_numpy(np.argsort(order)).to(device, non_blocking=True)

    def apart(self, rows: Tensor) -> Sequence[Tensor]:
        return rows.index_select(0, self.order).split(self.sizes)

    def together(self, parts: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(parts)).index_select(0, self.inverse)


class Padding:
    """To (S, L, …), padded with zeros at the end, and back."""

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self.num_sequences, self.longest = len(lengths), max(lengths)
        self.index = None  # where rows go; equally long sequences need nothing between them
        if min(lengths) == self.longest:
            return
        starts = np.arange(len(lengths)) * self.longest
        runs = [np.arange(start, start + n) for start, n in zip(starts, lengths, strict=True)]
        self.index = torch.from_numpy(np.concatenate(runs)).to(device, non_blocking=True)

    def pad(self, rows: Tensor) -> Tensor:
        if self.index is None:
            return rows.unflatten(0, (self.num_sequences, self.longest))
        padded = rows.new_zeros(self.num_sequences * self.longest, *rows.shape[1:])
        padded.index_copy_(0, self.index, rows)  # out of place it is ten times slower
        return padded.unflatten(0, (self.num_sequences, self.longest))

    def unpad(self, padded: Tensor) -> Tensor:
        rows = padded.flatten(0, 1)
        return rows if self.index is None else rows.index_select(0, self.index)
