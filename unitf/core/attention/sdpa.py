"""Attention of equally long sequences, and the masks that it adds to its scores."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from unitf.core.dropout import dropout

Bias = Callable[[Tensor, Tensor], Tensor]  # positions (S, P, Lq), (S, P, Lk) → (S, H, Lq, Lk)

BLOCK = 512  # queries at a time, where all at once would need a large mask
HALF = (torch.bfloat16, torch.float16)


@dataclass(frozen=True, eq=False)
class AttentionSpec:
    """Who attends to whom: sequence s of the queries to sequence s of the keys, and how."""

    query_lengths: tuple[int, ...]
    key_lengths: tuple[int, ...]
    causal: bool = False
    window: int | None = None  # only those at most this many places away
    bias: Bias | None = None  # queries and keys are then the same tokens, at these positions:
    positions: Tensor | None = None  # (P, N)
    dropout: float = 0.0
    head_dim: int = 64
    scale: float | None = None  # of the scores; None: head_dim^-0.5
    softcap: float | None = None

    @property
    def masked(self) -> bool:
        """Whether the scores need more than what a fused kernel computes by itself."""
        return not (self.window is None and self.bias is None and self.softcap is None)

    @property
    def equal_lengths(self) -> bool:
        return len(set(zip(self.query_lengths, self.key_lengths, strict=True))) == 1


def dense(
    q: Float[Tensor, "S H Lq d"],
    k: Float[Tensor, "S H2 Lk d"],
    v: Float[Tensor, "S H2 Lk d"],
    pattern: AttentionSpec,
    mask: Tensor | None = None,
    causal: bool = False,
) -> Float[Tensor, "S H Lq d"]:
    """Attention of equally long sequences.

    Args:
        pattern: only how scores become weights is read from it.
        mask: is added to the scores: (S or 1, H or 1, Lq or 1, Lk).
        causal: says what a mask could say too, to a kernel that need not read one.
    """
    dropout, scale = pattern.dropout, pattern.scale
    if mask is not None:
        mask = mask.to(q.dtype)  # the same already, unless somebody casts between blocks (FSDP)
    slow = q.is_cpu and (dropout or (q.dtype in HALF and k.shape[2] <= 4 * BLOCK))
    if slow or pattern.softcap is not None:
        return _explicit(q, k, v, pattern, mask, causal)
    grouped = q.shape[1] != k.shape[1]
    return F.scaled_dot_product_attention(
        q, k, v, mask, dropout, causal, scale=scale, enable_gqa=grouped
    )


def _explicit(
    q: Tensor, k: Tensor, v: Tensor, pattern: AttentionSpec, mask: Tensor | None, causal: bool
) -> Tensor:
    """Scores, softmax, sum. The fused CPU kernel is slow backwards in bfloat16, and in dropout."""
    shape = q.shape
    scale = shape[-1] ** -0.5 if pattern.scale is None else pattern.scale
    if k.shape[1] != shape[1]:
        k, v = (x.repeat_interleave(shape[1] // x.shape[1], dim=1) for x in (k, v))
    if causal:
        indices = torch.arange(shape[2], device=q.device)
        mask = to_additive(indices[:, None] >= indices, q.dtype)[None, None]
    q, k, v = (x.flatten(0, 1) for x in (q, k, v))
    if mask is not None:
        if mask.shape[0] * mask.shape[1] > 1:
            mask = mask.expand(*shape[:2], -1, -1)
        mask = mask.flatten(0, 1)
    if pattern.softcap is not None:
        scores = torch.bmm(q * (scale / pattern.softcap), k.mT).tanh() * pattern.softcap
        scores = scores if mask is None else scores + mask
    elif mask is None:
        scores = torch.bmm(q * scale, k.mT)
    else:
        scores = torch.baddbmm(mask, q, k.mT, alpha=scale)
    weights = dropout(scores.softmax(-1), pattern.dropout)
    return torch.bmm(weights, v).view(shape)


def to_additive(seen: Bool[Tensor, "*shape"], dtype: torch.dtype) -> Float[Tensor, "*shape"]:
    """0 where seen, hugely negative elsewhere, but finite: a row that sees nothing has no NaN."""
    mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return mask.masked_fill_(~seen, torch.finfo(dtype).min / 2)


def make_mask(
    pattern: AttentionSpec,
    queries: tuple[int, int],
    keys: tuple[int, int],
    positions: Tensor | None,
    device: torch.device,
    dtype: torch.dtype,
) -> Tensor | None:
    """What is added to the scores (1 or S, 1 or H, Lq, Lk) of a range of queries and of keys."""
    distance = torch.arange(*queries, device=device)[:, None] - torch.arange(*keys, device=device)
    mask = None
    if pattern.causal or pattern.window is not None:
        seen = distance >= 0 if pattern.causal else torch.ones_like(distance, dtype=torch.bool)
        if pattern.window is not None:
            seen = seen & (distance.abs() <= pattern.window)
        mask = to_additive(seen, dtype)[None, None]
    if pattern.bias is None:
        return mask
    assert positions is not None
    bias = pattern.bias(positions[..., slice(*queries)], positions[..., slice(*keys)])
    return (bias if mask is None else bias + mask).to(dtype)
