"""Slots: where a cache keeps the tokens of several sequences, which may differ in length."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


class Entry:
    """Where the tokens of one call go in the buffers of all blocks that look equally far back.

    Token p of a sequence lies in slot p modulo the number of slots: where only the last ones are
    ever looked at, new ones take the place of those that nobody sees any more.

    `is_next` says that there is one token of each sequence, and that all are equally long.
    """

    def __init__(
        self,
        before: tuple[int, ...],
        lengths: tuple[int, ...],
        reach: int | None,
        capacity: int,
        device: torch.device,
    ) -> None:
        self.before, self.lengths, self.device = np.array(before, np.int64), lengths, device
        self.size = capacity if reach is None else min(capacity, reach)
        self.after = self.before + np.array(lengths, np.int64)
        self.is_next = bool(lengths) and {*lengths} == {1} and len({*before}) == 1
        self.lasting = None  # which of the tokens are kept, unless all are
        if self.is_next:
            slots = np.arange(len(lengths)) * self.size + before[0] % self.size
            self.slots = torch.from_numpy(slots).to(device, non_blocking=True)
            return
        numbers = np.repeat(np.arange(len(lengths)), lengths)
        starts = np.cumsum((0, *lengths))[:-1]
        token_indices = np.arange(len(numbers)) + (self.before - starts)[numbers]
        lasting = token_indices >= (self.after - self.size)[numbers]
        slots = numbers * self.size + token_indices % self.size
        self.slots = torch.from_numpy(slots[lasting]).to(device, non_blocking=True)
        if not lasting.all():
            self.lasting = torch.from_numpy(np.flatnonzero(lasting)).to(device, non_blocking=True)

    @property
    def token_indices(self) -> Int[np.ndarray, "S K"]:
        """Which token of its sequence lies in each slot; negative: none."""
        return token_indices_of(self.after, self.size)

    @property
    def slides(self) -> bool:
        """Whether a token may lie where an earlier one of the same call still looks."""
        return max(self.lengths, default=0) > 1 and int(self.after.max(initial=0)) > self.size


def token_indices_of(lengths: Int[np.ndarray, " S"], size: int) -> Int[np.ndarray, "S K"]:
    """Which token of its sequence lies in each slot (S, K); negative: none."""
    slots = np.arange(min(size, max(int(lengths.max(initial=0)), 1)))
    last = lengths[:, None] - 1
    return last - (last - slots) % size


class Buffer:
    """Rows of S sequences in slots, (S, size, …); there is room for more."""

    def __init__(self) -> None:
        self.rows: Tensor | None = None

    def put(self, rows: Float[Tensor, "N ..."], entry: Entry) -> None:
        """Writes the tokens of a call."""
        if self.rows is not None and rows.shape[1] < self.rows.shape[2]:
            # positions with fewer axes than others
            rows = F.pad(rows, (0, self.rows.shape[2] - rows.shape[1]))
        shape = (len(entry.lengths), entry.size, *rows.shape[1:])
        if self.rows is None:
            self.rows = rows.new_zeros(shape)
        elif self.rows.shape != shape:
            larger = rows.new_zeros(shape)
            larger[:, : self.rows.shape[1], : self.rows.shape[2]] = self.rows
            self.rows = larger
        if entry.lasting is not None:
            rows = rows.index_select(0, entry.lasting)
        self.rows.flatten(0, 1).index_copy_(0, entry.slots, rows.detach())

    def take(self, count: int) -> Float[Tensor, "S K ..."]:
        """The first slots of each sequence."""
        assert self.rows is not None
        return self.rows[:, :count]

    def reorder(self, index: Sequence[int], used: int) -> None:
        """Other sequences; only what is in use is copied."""
        if self.rows is None:
            return
        numbers = torch.tensor(index, dtype=torch.long).to(self.rows.device, non_blocking=True)
        taken = self.rows[:, :used].index_select(0, numbers)
        if len(index) != len(self.rows):
            self.rows = self.rows.new_zeros(len(index), *self.rows.shape[1:])
        self.rows[:, :used] = taken
