"""The kernel of equally long sequences."""

import torch
from torch import Tensor

from unitf.core.attention.packing import positions_per_sequence
from unitf.core.attention.sdpa import AttentionSpec, dense, make_mask
from unitf.nn.typed import unflatten


class Reshaped:
    """Attention of equally long sequences: the packed rows are reshaped to a batch."""

    def __init__(self, pattern: AttentionSpec, device: torch.device, dtype: torch.dtype) -> None:
        self.num_sequences: int = len(pattern.query_lengths)
        self.pattern: AttentionSpec = pattern
        self.causal: bool = pattern.causal and not pattern.masked
        self.mask: Tensor | None = None
        if pattern.masked:
            queries, keys = (0, pattern.query_lengths[0]), (0, pattern.key_lengths[0])
            positions = positions_per_sequence(pattern.positions, self.num_sequences)
            self.mask = make_mask(pattern, queries, keys, positions, device, dtype)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        sizes = (self.num_sequences, -1)
        q4, k4, v4 = (unflatten(rows, 0, sizes).transpose(1, 2) for rows in (q, k, v))
        out = dense(q4, k4, v4, self.pattern, self.mask, self.causal)
        return out.transpose(1, 2).flatten(0, 1)
