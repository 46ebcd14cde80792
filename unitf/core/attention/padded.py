"""The kernel of sequences whose lengths differ a little."""

import torch
from torch import Tensor

from unitf.core.attention.packing import Padding
from unitf.core.attention.sdpa import AttentionSpec, dense, make_mask, to_additive


class Padded:
    """Attention of sequences of similar lengths, which are padded inside attention only."""

    def __init__(self, pattern: AttentionSpec, device: torch.device, dtype: torch.dtype) -> None:
        self.pattern: AttentionSpec = pattern
        self.queries: Padding = Padding(pattern.query_lengths, device)
        same = pattern.query_lengths == pattern.key_lengths
        self.keys: Padding = self.queries if same else Padding(pattern.key_lengths, device)
        lengths = torch.tensor(pattern.key_lengths).to(device, non_blocking=True)
        real = torch.arange(self.keys.longest, device=device) < lengths[:, None]
        self.mask: Tensor = to_additive(real, dtype)[:, None, None]
        positions = pattern.positions
        if positions is not None:
            positions = self.queries.pad(positions.mT).transpose(1, 2)  # (S, P, L)
        queries, keys = (0, self.queries.longest), (0, self.keys.longest)
        pattern_mask = make_mask(pattern, queries, keys, positions, device, dtype)
        if pattern_mask is not None:  # the sum of both masks would overflow
            self.mask = torch.where(real[:, None, None], pattern_mask, self.mask)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q4 = self.queries.pad(q).transpose(1, 2)
        k4, v4 = (self.keys.pad(rows).transpose(1, 2) for rows in (k, v))
        out = dense(q4, k4, v4, self.pattern, self.mask)
        return self.queries.unpad(out.transpose(1, 2))
