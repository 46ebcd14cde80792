"""Buffers of a cache: slots for the tokens of several sequences, which may differ in length."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from unitf.nn.typed import from_numpy


class Entry:
    """The slots of the tokens of one call, in all blocks that look equally far back.

    Token p of a sequence lies in slot p modulo the number of slots. Where a block looks only at the
    last tokens, new tokens overwrite those that nobody sees any more.

    `is_next` says that the call has one token of each sequence, and that all sequences are equally
    long.

    Args:
        before: the number of tokens of each sequence before this call.
        lengths: the number of its tokens in this call.
        reach: how many tokens the blocks look back; None: they look at all tokens.
        capacity: the number of slots of each sequence, unless `reach` is smaller.
    """

    def __init__(
        self,
        before: tuple[int, ...],
        lengths: tuple[int, ...],
        reach: int | None,
        capacity: int,
        device: torch.device,
    ) -> None:
        self.before: Int[np.ndarray, " S"] = np.array(before, np.int64)
        self.lengths: tuple[int, ...] = lengths
        self.device: torch.device = device
        self.size: int = capacity if reach is None else min(capacity, reach)
        self.after: Int[np.ndarray, " S"] = self.before + np.array(lengths, np.int64)
        self.is_next: bool = bool(lengths) and {*lengths} == {1} and len({*before}) == 1
        self.slots: Int[Tensor, " _"]
        self.lasting: Int[Tensor, " _"] | None = None  # the tokens that are stored; None: all
        if self.is_next:
            slots = np.arange(len(lengths)) * self.size + before[0] % self.size
            self.slots = from_numpy(slots, device)
            return
        numbers = np.repeat(np.arange(len(lengths)), lengths)
        starts = np.cumsum((0, *lengths))[:-1]
        token_indices = np.arange(len(numbers)) + (self.before - starts)[numbers]
        lasting = token_indices >= (self.after - self.size)[numbers]
        slots = numbers * self.size + token_indices % self.size
        self.slots = from_numpy(slots[lasting], device)
        if not lasting.all():
            self.lasting = from_numpy(np.flatnonzero(lasting), device)

    @property
    def token_indices(self) -> Int[np.ndarray, "S K"]:
        """The index of the token in each slot, in its sequence; negative: the slot is empty."""
        return token_indices_of(self.after, self.size)

    @property
    def slides(self) -> bool:
        """Whether a token may overwrite one that an earlier token of the same call still sees."""
        return max(self.lengths, default=0) > 1 and int(self.after.max(initial=0)) > self.size


def token_indices_of(lengths: Int[np.ndarray, " S"], size: int) -> Int[np.ndarray, "S K"]:
    """Returns the index of the token in each slot; negative: the slot is empty.

    Args:
        lengths: the number of tokens of each sequence.
        size: the number of slots of each sequence.
    """
    slots = np.arange(min(size, max(int(lengths.max(initial=0)), 1)))
    last = lengths[:, None] - 1
    return last - (last - slots) % size


class Buffer:
    """Rows of S sequences in slots, (S, size, …); it grows when there are more tokens."""

    def __init__(self) -> None:
        self.rows: Tensor | None = None

    def put(self, rows: Float[Tensor, "N ..."], entry: Entry) -> None:
        """Stores the rows of a call in the slots of `entry`."""
        if self.rows is not None and rows.shape[1] < self.rows.shape[2]:
            # positions with fewer axes than those of an earlier call
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
        """Returns the first `count` slots of each sequence."""
        assert self.rows is not None
        return self.rows[:, :count]

    def reorder(self, index: Sequence[int], used: int) -> None:
        """Keeps the sequences of these numbers; only the first `used` slots are copied."""
        if self.rows is None:
            return
        numbers = torch.tensor(index, dtype=torch.long).to(self.rows.device, non_blocking=True)
        taken = self.rows[:, :used].index_select(0, numbers)
        if len(index) != len(self.rows):
            self.rows = self.rows.new_zeros(len(index), *self.rows.shape[1:])
        self.rows[:, :used] = taken
