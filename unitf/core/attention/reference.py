"""The reference of all kernels: one sequence at a time, with a mask of all its scores."""

import torch
from torch import Tensor
from torch.nn import functional as F

from unitf.core.attention.sdpa import AttentionSpec, make_mask
from unitf.core.uncompiled import uncompiled
from unitf.nn.typed import split


class ReferenceKernel:
    """Textbook attention for every pattern; its memory grows with the square of a length."""

    def __init__(self, pattern: AttentionSpec) -> None:
        self.pattern: AttentionSpec = pattern

    @uncompiled  # every length would be compiled anew
    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        pattern = self.pattern
        parts = zip(
            split(q, pattern.query_lengths),
            split(k, pattern.key_lengths),
            split(v, pattern.key_lengths),
            self._positions(),
            strict=True,
        )
        return torch.cat([self._one(*part) for part in parts])

    def _positions(self) -> list[Tensor | None]:
        if self.pattern.positions is None:
            return [None] * len(self.pattern.query_lengths)
        return list(split(self.pattern.positions, self.pattern.query_lengths, dim=1))

    def _one(self, q: Tensor, k: Tensor, v: Tensor, positions: Tensor | None) -> Tensor:
        pattern = self.pattern
        q, k, v = (rows.transpose(0, 1) for rows in (q, k, v))  # (H, L, d)
        k, v = (heads.repeat_interleave(q.shape[0] // heads.shape[0], dim=0) for heads in (k, v))
        scale = q.shape[-1] ** -0.5 if pattern.scale is None else pattern.scale
        scores = q @ k.mT * scale
        if pattern.softcap is not None:
            scores = (scores / pattern.softcap).tanh() * pattern.softcap
        batched_positions = None if positions is None else positions[None]
        ranges = (0, q.shape[1]), (0, k.shape[1])
        mask = make_mask(pattern, *ranges, batched_positions, q.device, q.dtype)
        if mask is not None:
            scores = scores + mask[0]
        weights = F.dropout(scores.softmax(-1), pattern.dropout)
        return (weights @ v).transpose(0, 1)
