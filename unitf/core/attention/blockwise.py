"""The kernel of long sequences, which computes their scores block by block."""

import torch
from torch import Tensor

from unitf.core.attention.nothing import Nothing
from unitf.core.attention.packing import positions_per_sequence
from unitf.core.attention.sdpa import BLOCK, AttentionSpec, dense, make_mask
from unitf.core.uncompiled import uncompiled
from unitf.nn.typed import split, unflatten


class Blockwise:
    """Attention of long sequences, in blocks of queries where the scores need a mask.

    It computes one sequence at a time, or all at once if they are equally long.
    """

    def __init__(self, pattern: AttentionSpec) -> None:
        self.pattern: AttentionSpec = pattern
        self.num_sequences: int = 1
        self.lengths: tuple[tuple[int, ...], tuple[int, ...]] = (
            pattern.query_lengths,
            pattern.key_lengths,
        )
        if pattern.equal_lengths:
            self.num_sequences = len(pattern.query_lengths)
            self.lengths = (sum(pattern.query_lengths),), (sum(pattern.key_lengths),)

    @uncompiled  # every length would be compiled anew
    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        lengths, key_lengths = self.lengths
        positions = self.pattern.positions
        parts = zip(
            split(q, lengths),
            split(k, key_lengths),
            split(v, key_lengths),
            [None] * len(lengths) if positions is None else split(positions, lengths, dim=1),
            strict=True,
        )
        return torch.cat([self._part(*part) for part in parts])

    def _part(self, q: Tensor, k: Tensor, v: Tensor, positions: Tensor | None) -> Tensor:
        """Attention of one sequence, or of all sequences if they are equally long."""
        if q.shape[0] == 0 or k.shape[0] == 0:
            return Nothing(self.pattern)(q, k, v)
        sizes = (self.num_sequences, -1)
        q, k, v = (unflatten(rows, 0, sizes).transpose(1, 2) for rows in (q, k, v))
        if not self.pattern.masked:
            out = dense(q, k, v, self.pattern, None, self.pattern.causal)
        else:
            out = self._blocks(q, k, v, positions_per_sequence(positions, self.num_sequences))
        return out.transpose(1, 2).flatten(0, 1)

    def _blocks(self, q: Tensor, k: Tensor, v: Tensor, positions: Tensor | None) -> Tensor:
        outs: list[Tensor] = []
        longest = max(q.shape[2], k.shape[2])  # a memory may be shorter than its queries
        reach = longest if self.pattern.window is None else self.pattern.window
        for first in range(0, q.shape[2], BLOCK):
            last = min(first + BLOCK, q.shape[2])
            low = max(0, first - reach)
            high = last if self.pattern.causal else min(k.shape[2], last + reach)
            mask = make_mask(self.pattern, (first, last), (low, high), positions, q.device, q.dtype)
            block = q[:, :, first:last], k[:, :, low:high], v[:, :, low:high]
            outs.append(dense(*block, self.pattern, mask))
        return torch.cat(outs, dim=2)
