"""The kernels of a cache: for the first tokens, for the tokens that follow, and for a memory."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unitf.core.attention.kernel import Kernel
from unitf.core.attention.kv_buffer import Buffer, Entry, token_indices_of
from unitf.core.attention.packing import Padding
from unitf.core.attention.sdpa import AttentionSpec, dense, to_additive
from unitf.core.uncompiled import uncompiled
from unitf.nn.reference_mode import is_reference_mode
from unitf.nn.typed import from_numpy


@runtime_checkable
class StoringKernel(Protocol):
    """A kernel that stores keys and values in the buffers of one block."""

    def __call__(
        self, q: Tensor, k: Tensor, v: Tensor, kept: tuple[Buffer, Buffer]
    ) -> Float[Tensor, "N H d"]: ...


@runtime_checkable
class MemoryKernel(Protocol):
    """A kernel of attention to a memory.

    In later calls with a cache it holds the keys and values, and is called without them.
    """

    def __call__(
        self, q: Tensor, k: Tensor | None, v: Tensor | None, /
    ) -> Float[Tensor, "N H d"]: ...


class Prefill:
    """Attention of the first tokens, by any kernel; it stores their keys and values."""

    def __init__(self, kernel: Kernel, entry: Entry) -> None:
        self.kernel: Kernel = kernel
        self.entry: Entry = entry

    @uncompiled
    def __call__(
        self, q: Tensor, k: Tensor, v: Tensor, kept: tuple[Buffer, Buffer]
    ) -> Float[Tensor, "N H d"]:
        for buffer, rows in zip(kept, (k, v), strict=True):
            buffer.put(rows, self.entry)
        return self.kernel(q, k, v)


class Decode:
    """Attention of further tokens to the stored tokens, and to each other.

    Args:
        pattern: how scores become weights, and which tokens see which.
        chunk: the length of the pieces of a sequence; a token sees only its own piece.
        positions: those of all tokens, (S, slots, P); only a pattern with a bias needs them.
        dtype: that of queries, keys and values.
    """

    def __init__(
        self,
        pattern: AttentionSpec,
        entry: Entry,
        chunk: int | None,
        positions: Buffer,
        dtype: torch.dtype,
    ) -> None:
        self.pattern: AttentionSpec = pattern
        self.entry: Entry = entry
        self.padding: Padding = Padding(entry.lengths, entry.device)
        self.mask: Tensor | None = None
        self.num_kept: int = 0  # the stored tokens of each sequence that are read
        unlimited = pattern.window is None and chunk is None and pattern.bias is None
        if unlimited and entry.is_next and not is_reference_mode():
            # every query sees every stored token: no mask
            self.num_kept = min(entry.size, int(entry.after[0]))
            return
        queries = entry.before[:, None] + np.arange(self.padding.longest)
        keys = entry.token_indices
        if entry.slides:  # tokens that are overwritten are still seen: the old ones, then the new
            old = token_indices_of(entry.before, entry.size)
            new = np.where(queries < entry.after[:, None], queries, -1)
            keys = np.concatenate([old, new], axis=1)
        self.num_kept = keys.shape[1] - (self.padding.longest if entry.slides else 0)
        distance = queries[:, :, None] - keys[:, None]
        seen = (keys >= 0)[:, None] & (distance >= 0)
        if pattern.window is not None:
            seen &= distance <= pattern.window
        if chunk is not None:
            seen &= queries[:, :, None] // chunk == keys[:, None] // chunk
        if not seen.all():
            self.mask = to_additive(from_numpy(seen, entry.device), dtype)[:, None]
        if pattern.bias is not None:
            query_positions, key_positions = _gather(positions, queries), _gather(positions, keys)
            bias = pattern.bias(query_positions, key_positions).to(dtype)
            self.mask = bias if self.mask is None else bias + self.mask

    @uncompiled
    def __call__(
        self, q: Tensor, k: Tensor, v: Tensor, kept: tuple[Buffer, Buffer]
    ) -> Float[Tensor, "N H d"]:
        joined: list[Tensor] = []
        for buffer, rows in zip(kept, (k, v), strict=True):
            if self.entry.slides:
                old = buffer.take(self.num_kept)
                joined.append(torch.cat([old, self.padding.pad(rows)], dim=1).transpose(1, 2))
            buffer.put(rows, self.entry)
            if not self.entry.slides:
                joined.append(buffer.take(self.num_kept).transpose(1, 2))
        padded = self.padding.pad(q).transpose(1, 2)
        keys, values = joined
        out = dense(padded, keys, values, self.pattern, self.mask)
        return self.padding.unpad(out.transpose(1, 2))


def _gather(positions: Buffer, token_indices: Int[np.ndarray, "S L"]) -> Float[Tensor, "S P L"]:
    """Returns the positions of tokens, by their indices in their sequences."""
    rows = positions.rows
    assert rows is not None
    index = from_numpy(token_indices.clip(0, rows.shape[1] - 1), rows.device)
    return rows.gather(1, index[..., None].expand(-1, -1, rows.shape[2])).transpose(1, 2)


class CrossCache:
    """The keys and values of a memory for one block, padded; they are computed once."""

    def __init__(self) -> None:
        self.joined: tuple[Tensor, Tensor] | None = None  # (M, longest, H, d) each
        self.mask: Tensor | None = None

    def prefill(self, kernel: Kernel, lengths: tuple[int, ...]) -> Kernel:
        """Returns the kernel of the first call, which stores the keys and values of a memory.

        Args:
            kernel: computes the attention.
            lengths: those of the memory's sequences.
        """
        return partial(self._fill, kernel, lengths)

    def decode(self, pattern: AttentionSpec) -> MemoryKernel:
        """Returns the kernel of a later call, which attends to the stored keys and values."""
        return partial(self._continue, pattern)

    def reorder(self, numbers: Sequence[int]) -> None:
        """Keeps the memories of these numbers, in this order."""
        if self.joined is None or [*numbers] == [*range(len(self.joined[0]))]:
            return
        index = torch.tensor(numbers, dtype=torch.long).to(self.joined[0].device, non_blocking=True)
        keys, values = (rows.index_select(0, index) for rows in self.joined)
        self.joined = keys, values
        self.mask = None if self.mask is None else self.mask.index_select(0, index)

    @uncompiled
    def _fill(
        self, kernel: Kernel, lengths: tuple[int, ...], q: Tensor, k: Tensor, v: Tensor
    ) -> Float[Tensor, "N H d"]:
        padding = Padding(lengths, k.device)
        if padding.longest:
            self.joined = padding.pad(k).detach(), padding.pad(v).detach()
        if len(set(lengths)) > 1:
            counts = torch.tensor(lengths).to(k.device, non_blocking=True)
            real = torch.arange(padding.longest, device=k.device) < counts[:, None]
            self.mask = to_additive(real, k.dtype)[:, None, None]
        return kernel(q, k, v)

    @uncompiled
    def _continue(
        self, pattern: AttentionSpec, q: Tensor, k: Tensor | None, v: Tensor | None
    ) -> Float[Tensor, "N H d"]:
        if self.joined is None:
            return q * 0
        padding = Padding(pattern.query_lengths, q.device)
        # sequences that share a memory are computed as one, with the queries of all of them
        padded = padding.pad(q)
        grouped = padded.reshape(len(self.joined[0]), -1, *q.shape[1:]).transpose(1, 2)
        keys, values = (rows.transpose(1, 2) for rows in self.joined)
        out = dense(grouped, keys, values, pattern, self.mask).transpose(1, 2)
        return padding.unpad(out.reshape(padded.shape))
