"""Cache: the keys and values of what a causal stack has read, for the tokens that follow.

To a block it is a kernel like any other, which keeps the keys and values that it is called with
and attends to all that were kept: attention itself knows nothing of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from unitf.core.attention.cached import CrossCache, Decode, Prefill
from unitf.core.attention.context import BlockContext
from unitf.core.attention.kernels import Kernel
from unitf.core.attention.kv_buffer import Buffer, Entry
from unitf.core.attention.sdpa import AttentionSpec
from unitf.errors import UserError
from unitf.tokens import Tokens


class Cache:
    """What the blocks of one stack have read of S sequences, which may differ in length.

    The first call of a core with it reads any number of tokens of each sequence (with a prefix, or
    a memory), each later one those that follow. It is for inference: gradients end here.

    Args:
        capacity: the tokens of a sequence for which there is room; it doubles when they are more.
            Blocks that see only a window, or a chunk, keep no more than that.
    """

    def __init__(self, capacity: int = 64) -> None:
        self.capacity = max(1, capacity)
        self.lengths: tuple[int, ...] = ()  # tokens read so far
        self.positions = Buffer()
        self.blocks: list[tuple[Buffer, Buffer]] = []  # keys and values
        self.memories: list[CrossCache] = []
        self.sharing = 1  # so many sequences, side by side, read one memory

    @property
    def is_empty(self) -> bool:
        return not self.lengths

    def reorder(self, index: Sequence[int], sharing: int = 1) -> None:
        """Goes on with the sequences of these numbers: some of them, or one several times (beams).

        Args:
            sharing: so many of them, side by side, come from sequences that read one memory.
        """
        if [*index] == [*range(len(self.lengths))] and sharing == self.sharing:
            return
        used = max(self.lengths, default=0)
        for buffer in (self.positions, *(b for pair in self.blocks for b in pair)):
            buffer.reorder(index, used)
        numbers = [number // self.sharing for number in index[::sharing]]
        for memory in self.memories:
            memory.reorder(numbers)
        self.lengths = tuple(self.lengths[number] for number in index)
        self.sharing = sharing

    # ---- for the stack that reads with it -----------------------------------------------

    def advance(self, tokens: Tokens, reaches: Iterable[int | None]) -> dict[int | None, Entry]:
        """Where the tokens of a call go in blocks that look so far back (None: at everything)."""
        if not self.is_empty and tokens.num_sequences != len(self.lengths):
            raise UserError(
                f"{tokens.num_sequences} sequences cannot follow {len(self.lengths)} in a cache"
            )
        before = self.lengths or (0,) * tokens.num_sequences
        self.lengths = tuple(b + n for b, n in zip(before, tokens.lengths, strict=True))
        while self.capacity < max(self.lengths, default=0):
            self.capacity *= 2
        device = tokens.matrix.device
        entries = {r: Entry(before, tokens.lengths, r, self.capacity, device) for r in reaches}
        self.positions.put(tokens.positions.mT, entries[None])
        return entries

    def block(self, number: int) -> tuple[Buffer, Buffer]:
        """Keys and values of the block of this number."""
        while len(self.blocks) <= number:
            self.blocks.append((Buffer(), Buffer()))
        return self.blocks[number]

    def memory(self, number: int) -> CrossCache:
        """What the block of this number keeps of the memory."""
        while len(self.memories) <= number:
            self.memories.append(CrossCache())
        return self.memories[number]


class CacheCall:
    """One call of a stack with a cache: what all blocks, or those of a kind, have in common.

    Args:
        near: how many tokens the blocks with a window or a chunk look back at; None: at all.
    """

    def __init__(self, cache: Cache, tokens: Tokens, near: int | None) -> None:
        self.cache, self.is_first, self.near = cache, cache.is_empty, near
        self.entries = cache.advance(tokens, {None, near})

    def prefill(self, kernel: Kernel, pattern: AttentionSpec, chunk: int | None) -> Kernel:
        """The kernel of the first tokens, which keeps them."""
        return Prefill(kernel, self._entry(pattern, chunk))  # type: ignore[return-value]

    def decode(self, pattern: AttentionSpec, chunk: int | None, dtype: torch.dtype) -> Kernel:
        """The kernel of those that follow."""
        entry, positions = self._entry(pattern, chunk), self.cache.positions
        return Decode(pattern, entry, chunk, positions, dtype)  # type: ignore[return-value]

    def _entry(self, pattern: AttentionSpec, chunk: int | None) -> Entry:
        everything = pattern.window is None and chunk is None
        return self.entries[None if everything else self.near]

    def bind(self, number: int, context: BlockContext, of_memory: AttentionSpec) -> BlockContext:
        """The context of one block, whose kernels keep what is its own."""
        kernel: Any = context.attend  # of this call, so it takes what its block keeps
        attend = partial(kernel, kept=self.cache.block(number))
        attend_memory = None
        if context.attend_memory is not None:
            kept = self.cache.memory(number)
            attend_memory = kept.prefill(context.attend_memory, of_memory.key_lengths)
        elif self.cache.memories:
            attend_memory = self.cache.memory(number).decode(of_memory)
        return replace(context, attend=attend, attend_memory=attend_memory)
