"""Attention over a packed batch: one small implementation for each case, chosen in one place.

A kernel is made once for each forward pass, from lengths that are known on the host, and called
by every block. It takes queries (N, H, d) and keys and values (M, H', d) as packed rows, where H'
divides H, and gives (N, H, d). No sequence sees another.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from unitf.core.attention.packing import Padding, Sorting
from unitf.core.attention.reference import ReferenceKernel
from unitf.core.attention.sdpa import BLOCK, HALF, AttentionSpec, dense, make_mask, to_additive
from unitf.core.uncompiled import uncompiled
from unitf.nn.reference_mode import is_reference_mode
from unitf.tokens import to_offsets

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]

_CUTS = 64  # places at most where sequences are grouped: trying them all takes a millisecond


def make_kernel(
    pattern: AttentionSpec, device: torch.device, dtype: torch.dtype, grouped: bool = False
) -> Kernel:
    """The implementation for this batch; `dtype` is that of queries, keys and values.

    Args:
        grouped: the sequences are already a group of similar lengths.
    """
    if sum(pattern.query_lengths) == 0 or sum(pattern.key_lengths) == 0:
        return Nothing(pattern)
    if is_reference_mode():
        return ReferenceKernel(pattern)
    longest = max(pattern.query_lengths), max(pattern.key_lengths)
    large_mask = pattern.masked and longest[0] > 2 * BLOCK
    if pattern.equal_lengths and not large_mask:
        return Reshaped(pattern, device, dtype)
    if VariableLengths.can(pattern, device, dtype):
        return VariableLengths(pattern, device)
    pairs = list(zip(pattern.query_lengths, pattern.key_lengths, strict=True))
    separate = _cost_of_one_more(device)
    padded = len(pairs) * longest[0] * longest[1]
    if large_mask:
        return Blockwise(pattern)
    if not grouped and len(groups := group(pairs, separate)) > 1:
        return Grouped(pattern, groups, device, dtype)
    if sum(q * k + separate for q, k in pairs) < padded:
        return Blockwise(pattern)
    return Padded(pattern, device, dtype)


def _cost_of_one_more(device: torch.device) -> int:
    """What one more sequence, or group of them, of its own costs, in scores that are computed.

    Measured on CPU. Elsewhere it costs kernel launches, during which far more are computed.
    """
    return 8_000 if device.type == "cpu" else 1_000_000


def group(pairs: Sequence[tuple[int, int]], separate: int) -> list[list[int]]:
    """The numbers of the sequences that are best padded together, for (query, key) lengths.

    Sorted by length, they are cut where the sum of all costs is least; a token that is padded
    costs as much as 25 scores (measured on CPU, heads of 32).
    """
    order = sorted(range(len(pairs)), key=pairs.__getitem__)
    lengths = np.array([pairs[number] for number in order])
    changes = np.flatnonzero((lengths[1:] != lengths[:-1]).any(1)) + 1
    cuts = np.array([0, *changes[:: len(changes) // _CUTS + 1], len(order)])
    best, begin = np.zeros(len(cuts)), np.zeros(len(cuts), int)
    for end in range(1, len(cuts)):
        queries = lengths[cuts[end] - 1, 0]  # the longest of those before the cut
        highest = np.maximum.reduceat(lengths[: cuts[end], 1], cuts[:end])
        keys = np.maximum.accumulate(highest[::-1])[::-1]
        each = queries * keys + 25 * (queries + keys)
        costs = best[:end] + (cuts[end] - cuts[:end]) * each + separate
        begin[end] = costs.argmin()
        best[end] = costs[begin[end]]
    groups, end = [], len(cuts) - 1
    while end > 0:
        groups.append(order[cuts[begin[end]] : cuts[end]])
        end = begin[end]
    return groups[::-1]


class Nothing:
    """No queries, or no keys: nothing is read, but gradients still find their way."""

    def __init__(self, pattern: AttentionSpec) -> None:
        self.zero: Tensor | float = 0.0
        if pattern.bias is not None and pattern.positions is not None:  # it may have learned
            nowhere = pattern.positions[:, :0]
            self.zero = pattern.bias(nowhere, nowhere).sum()

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return q * 0 + (k[:0].sum() + v[:0].sum() + self.zero)


class Reshaped:
    """All sequences are equally long: a batch is a reshape."""

    def __init__(self, pattern: AttentionSpec, device: torch.device, dtype: torch.dtype) -> None:
        self.num_sequences = len(pattern.query_lengths)
        self.pattern = pattern
        self.causal = pattern.causal and not pattern.masked
        self.mask = None
        if pattern.masked:
            queries, keys = (0, pattern.query_lengths[0]), (0, pattern.key_lengths[0])
            positions = _per_sequence(pattern.positions, self.num_sequences)
            self.mask = make_mask(pattern, queries, keys, positions, device, dtype)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q4, k4, v4 = (x.unflatten(0, (self.num_sequences, -1)).transpose(1, 2) for x in (q, k, v))
        out = dense(q4, k4, v4, self.pattern, self.mask, self.causal)
        return out.transpose(1, 2).flatten(0, 1)


class Padded:
    """Lengths differ, but not by much: padded inside attention only."""

    def __init__(self, pattern: AttentionSpec, device: torch.device, dtype: torch.dtype) -> None:
        self.pattern = pattern
        self.queries = Padding(pattern.query_lengths, device)
        same = pattern.query_lengths == pattern.key_lengths
        self.keys = self.queries if same else Padding(pattern.key_lengths, device)
        lengths = torch.tensor(pattern.key_lengths).to(device, non_blocking=True)
        real = torch.arange(self.keys.longest, device=device) < lengths[:, None]
        self.mask = to_additive(real, dtype)[:, None, None]
        positions = pattern.positions
        if positions is not None:
            positions = self.queries.pad(positions.mT).transpose(1, 2)  # (S, P, L)
        queries, keys = (0, self.queries.longest), (0, self.keys.longest)
        inner = make_mask(pattern, queries, keys, positions, device, dtype)
        if inner is not None:  # a sum of both would overflow
            self.mask = torch.where(real[:, None, None], inner, self.mask)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q4 = self.queries.pad(q).transpose(1, 2)
        k4, v4 = (self.keys.pad(x).transpose(1, 2) for x in (k, v))
        out = dense(q4, k4, v4, self.pattern, self.mask)
        return self.queries.unpad(out.transpose(1, 2))


class Grouped:
    """Lengths differ much: the sequences of similar ones go together."""

    def __init__(
        self,
        pattern: AttentionSpec,
        groups: Sequence[Sequence[int]],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        same = pattern.query_lengths == pattern.key_lengths
        self.queries = Sorting(pattern.query_lengths, groups, device)
        self.keys = self.queries if same else Sorting(pattern.key_lengths, groups, device)
        positions = pattern.positions
        parts: Sequence[Tensor | None] = [None] * len(groups)
        if positions is not None:
            parts = [part.mT for part in self.queries.apart(positions.mT)]
        self.kernels = []
        for members, part in zip(groups, parts, strict=True):
            lengths, key_lengths = (
                tuple(every[number] for number in members)
                for every in (pattern.query_lengths, pattern.key_lengths)
            )
            own = replace(pattern, query_lengths=lengths, key_lengths=key_lengths, positions=part)
            self.kernels.append(make_kernel(own, device, dtype, grouped=True))

    @uncompiled  # every number of groups would be compiled anew
    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        parts = zip(self.queries.apart(q), self.keys.apart(k), self.keys.apart(v), strict=True)
        outs = [kernel(*part) for kernel, part in zip(self.kernels, parts, strict=True)]
        return self.queries.together(outs)


class Blockwise:
    """Long sequences: one at a time (all, if equally long), in blocks where they need a mask."""

    def __init__(self, pattern: AttentionSpec) -> None:
        self.pattern = pattern
        self.num_sequences, self.lengths = 1, (pattern.query_lengths, pattern.key_lengths)
        if pattern.equal_lengths:
            self.num_sequences = len(pattern.query_lengths)
            self.lengths = (sum(pattern.query_lengths),), (sum(pattern.key_lengths),)

    @uncompiled  # every length would be compiled anew
    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        positions = self.pattern.positions
        parts = zip(
            q.split(self.lengths[0]),
            k.split(self.lengths[1]),
            v.split(self.lengths[1]),
            positions.split(self.lengths[0], dim=1) if positions is not None else self.lengths[0],
            strict=True,
        )
        outs = [self._part(*part) for part in parts]
        return torch.cat(outs)

    def _part(self, q: Tensor, k: Tensor, v: Tensor, positions: Tensor | int) -> Tensor:
        if q.shape[0] == 0 or k.shape[0] == 0:
            return Nothing(self.pattern)(q, k, v)
        q, k, v = (x.unflatten(0, (self.num_sequences, -1)).transpose(1, 2) for x in (q, k, v))
        if not self.pattern.masked:
            out = dense(q, k, v, self.pattern, None, self.pattern.causal)
        else:
            shared_positions = positions if isinstance(positions, Tensor) else None
            out = self._blocks(q, k, v, _per_sequence(shared_positions, self.num_sequences))
        return out.transpose(1, 2).flatten(0, 1)

    def _blocks(self, q: Tensor, k: Tensor, v: Tensor, positions: Tensor | None) -> Tensor:
        outs = []
        everything = max(q.shape[2], k.shape[2])  # a memory may be shorter than who reads it
        reach = everything if self.pattern.window is None else self.pattern.window
        for first in range(0, q.shape[2], BLOCK):
            last = min(first + BLOCK, q.shape[2])
            low = max(0, first - reach)
            high = last if self.pattern.causal else min(k.shape[2], last + reach)
            mask = make_mask(self.pattern, (first, last), (low, high), positions, q.device, q.dtype)
            out = dense(
                q[:, :, first:last],
                k[:, :, low:high],
                v[:, :, low:high],
                self.pattern,
                mask,
            )
            outs.append(out)
        return torch.cat(outs, dim=2)


class VariableLengths:
    """Torch's attention over packed sequences, on CUDA in half precision."""

    @staticmethod
    def can(pattern: AttentionSpec, device: torch.device, dtype: torch.dtype) -> bool:
        return (
            device.type == "cuda"
            and torch.cuda.get_device_capability(device) >= (8, 0)
            and dtype in HALF
            and pattern.head_dim % 8 == 0
            and pattern.head_dim <= 256
            and pattern.bias is None
            and pattern.softcap is None
            and pattern.dropout == 0
        )

    def __init__(self, pattern: AttentionSpec, device: torch.device) -> None:
        self.offsets = [
            to_offsets(lengths).to(device, non_blocking=True)
            for lengths in (pattern.query_lengths, pattern.key_lengths)
        ]
        self.longest = max(pattern.query_lengths), max(pattern.key_lengths)
        self.scale = pattern.scale
        reach = -1 if pattern.window is None else pattern.window
        self.window = (reach, 0 if pattern.causal else reach)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        from torch.nn.attention.varlen import varlen_attn

        shared = q.shape[1] // k.shape[1]
        if shared > 1:
            k, v = (x.repeat_interleave(shared, dim=1) for x in (k, v))
        (starts, key_starts), (longest, key_longest) = self.offsets, self.longest
        out = varlen_attn(
            q,
            k,
            v,
            starts,
            key_starts,
            longest,
            key_longest,
            scale=self.scale,
            window_size=self.window,
        )
        assert isinstance(out, Tensor)
        return out


def _per_sequence(positions: Tensor | None, num_sequences: int) -> Tensor | None:
    """(P, S·L) → (S, P, L), or (1, P, L) where all sequences are seen to stand alike."""
    if positions is None:
        return None
    apart = positions.unflatten(1, (num_sequences, -1)).transpose(0, 1)
    # on another device the answer would have to be waited for
    if apart.device.type == "cpu" and torch.equal(apart[1:], apart[:-1]):
        return apart[:1]
    return apart
