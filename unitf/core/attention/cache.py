"""Cache: the keys and values of the tokens that a causal stack has read.

To a block it is a kernel like any other. The kernel stores the keys and values of each call, and
attends to all that are stored: the attention modules do not know that there is a cache.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import torch

from unitf.core.attention.cached import CrossCache, Decode, MemoryKernel, Prefill, StoringKernel
from unitf.core.attention.context import BlockContext
from unitf.core.attention.kernel import Kernel
from unitf.core.attention.kv_buffer import Buffer, Entry
from unitf.core.attention.sdpa import AttentionSpec
from unitf.errors import UserError
from unitf.tokens import Tokens


class Cache:
    """The keys and values of all blocks of one stack, for S sequences that may differ in length.

    The first call of a core with a cache reads any number of tokens of each sequence, perhaps with
    a prefix or a memory. Each later call reads the tokens that follow. A cache is for inference: no
    gradient flows through it.

    Args:
        capacity: the number of tokens of each sequence for which there is room. It doubles when a
            sequence is longer. Blocks with a window, or a chunk, store no more tokens than that.
    """

    def __init__(self, capacity: int = 64) -> None:
        self.capacity: int = max(1, capacity)
        self.lengths: tuple[int, ...] = ()  # tokens read so far
        self.positions: Buffer = Buffer()
        self.blocks: list[tuple[Buffer, Buffer]] = []  # keys and values
        self.memories: list[CrossCache] = []
        self.sharing: int = 1  # the number of neighbouring sequences that read one memory

    @property
    def is_empty(self) -> bool:
        """Whether no call has used the cache yet."""
        return not self.lengths

    def reorder(self, index: Sequence[int], sharing: int = 1) -> None:
        """Keeps the sequences of these numbers, in this order; a number may repeat (beams).

        Args:
            sharing: the number of neighbouring sequences, after this call, that read one memory.
        """
        if [*index] == [*range(len(self.lengths))] and sharing == self.sharing:
            return
        used = max(self.lengths, default=0)
        for buffer in (self.positions, *(buffer for pair in self.blocks for buffer in pair)):
            buffer.reorder(index, used)
        numbers = [number // self.sharing for number in index[::sharing]]
        for memory in self.memories:
            memory.reorder(numbers)
        self.lengths = tuple(self.lengths[number] for number in index)
        self.sharing = sharing

    # ---- for the stack that uses the cache ----------------------------------------------

    def advance(self, tokens: Tokens, reaches: Iterable[int | None]) -> dict[int | None, Entry]:
        """Adds the tokens of a call, and returns their entry for each reach.

        Args:
            reaches: how many tokens a block looks back; None: it looks at all tokens.

        Raises:
            UserError: the call has another number of sequences than the cache.
        """
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
        """Returns the buffers of the keys and of the values of block `number`."""
        while len(self.blocks) <= number:
            self.blocks.append((Buffer(), Buffer()))
        return self.blocks[number]

    def memory(self, number: int) -> CrossCache:
        """Returns the keys and values of the memory for block `number`."""
        while len(self.memories) <= number:
            self.memories.append(CrossCache())
        return self.memories[number]


class CacheCall:
    """One call of a stack with a cache: what its blocks have in common.

    Args:
        look_back: how many tokens the blocks with a window, or a chunk, look back; None: they look
            at all tokens.
    """

    def __init__(self, cache: Cache, tokens: Tokens, look_back: int | None) -> None:
        self.cache: Cache = cache
        self.is_first: bool = cache.is_empty
        self.look_back: int | None = look_back
        self.entries: dict[int | None, Entry] = cache.advance(tokens, {None, look_back})

    def prefill(self, kernel: Kernel, pattern: AttentionSpec, chunk: int | None) -> Kernel:
        """Returns the kernel of the first call, which stores its keys and values.

        It needs the buffers of its block, which `bind` adds.
        """
        return cast(Kernel, Prefill(kernel, self._entry(pattern, chunk)))

    def decode(self, pattern: AttentionSpec, chunk: int | None, dtype: torch.dtype) -> Kernel:
        """Returns the kernel of a later call.

        It needs the buffers of its block, which `bind` adds.
        """
        entry, positions = self._entry(pattern, chunk), self.cache.positions
        return cast(Kernel, Decode(pattern, entry, chunk, positions, dtype))

    def _entry(self, pattern: AttentionSpec, chunk: int | None) -> Entry:
        everything = pattern.window is None and chunk is None
        return self.entries[None if everything else self.look_back]

    def bind(self, number: int, context: BlockContext, of_memory: AttentionSpec) -> BlockContext:
        """Returns the context of one block, whose kernels use the buffers of this block.

        Args:
            of_memory: the pattern of attention to the memory.
        """
        kernel = cast(StoringKernel, context.attend)  # `prefill` or `decode` returned it
        attend = cast(Kernel, partial(kernel, kept=self.cache.block(number)))
        attend_memory = None
        if context.attend_memory is not None:
            memory_cache = self.cache.memory(number)
            fresh_kernel = cast(Kernel, context.attend_memory)
            storing = memory_cache.prefill(fresh_kernel, of_memory.key_lengths)
            attend_memory = cast(MemoryKernel, storing)
        elif self.cache.memories:
            attend_memory = self.cache.memory(number).decode(of_memory)
        return replace(context, attend=attend, attend_memory=attend_memory)
