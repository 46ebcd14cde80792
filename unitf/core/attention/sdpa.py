"""Attention of equally long sequences, and the masks that are added to its scores."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from unitf.core.dropout import dropout

Bias = Callable[[Tensor, Tensor], Tensor]  # positions (S, P, Lq), (S, P, Lk) → (S, H, Lq, Lk)

BLOCK: int = 512  # queries at a time, where all at once would need a large mask
HALF: tuple[torch.dtype, ...] = (torch.bfloat16, torch.float16)


@dataclass(frozen=True, eq=False)
class AttentionSpec:
    """Which queries attend to which keys, and how.

    Sequence s of the queries attends to sequence s of the keys.

    Args:
        window: the largest distance between a query and a key that it sees; None: no limit.
        bias: is added to the scores. Queries and keys are then the same tokens.
        positions: the positions (P, N) of these tokens, which `bias` reads.
        dropout: the dropout probability of the attention weights.
        scale: the factor of the scores; None: head_dim^-0.5.
        softcap: scores lie between ± this, as cap·tanh(score / cap).
    """

    query_lengths: tuple[int, ...]
    key_lengths: tuple[int, ...]
    causal: bool = False
    window: int | None = None
    bias: Bias | None = None
    positions: Tensor | None = None
    dropout: float = 0.0
    head_dim: int = 64
    scale: float | None = None
    softcap: float | None = None

    @property
    def masked(self) -> bool:
        """Whether the scores need a mask or a cap that fused kernels do not compute themselves."""
        return not (self.window is None and self.bias is None and self.softcap is None)

    @property
    def equal_lengths(self) -> bool:
        """Whether all sequences have the same query length and the same key length."""
        return len(set(zip(self.query_lengths, self.key_lengths, strict=True))) == 1


def dense(
    q: Float[Tensor, "S H Lq d"],
    k: Float[Tensor, "S H2 Lk d"],
    v: Float[Tensor, "S H2 Lk d"],
    pattern: AttentionSpec,
    mask: Tensor | None = None,
    causal: bool = False,
) -> Float[Tensor, "S H Lq d"]:
    """Returns the attention of equally long sequences.

    Args:
        pattern: only its dropout, scale and softcap are used.
        mask: is added to the scores: (S or 1, H or 1, Lq or 1, Lk).
        causal: whether a query sees only the keys up to its own index; faster than such a mask.
    """
    dropout, scale = pattern.dropout, pattern.scale
    if mask is not None:
        # it has this dtype already, unless columns are cast between blocks (FSDP)
        mask = mask.to(q.dtype)
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
    """Computes scores, softmax and sum; torch's CPU kernel is slow with bfloat16 and dropout."""
    shape = q.shape
    scale = shape[-1] ** -0.5 if pattern.scale is None else pattern.scale
    if k.shape[1] != shape[1]:
        k, v = (heads.repeat_interleave(shape[1] // heads.shape[1], dim=1) for heads in (k, v))
    if causal:
        indices = torch.arange(shape[2], device=q.device)
        mask = to_additive(indices[:, None] >= indices, q.dtype)[None, None]
    q, k, v = (heads.flatten(0, 1) for heads in (q, k, v))
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
    """Returns 0 where seen, and a hugely negative number elsewhere.

    It is finite, so that the weights of a row that sees nothing are not NaN.
    """
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
    """Returns what is added to the scores of a range of queries and a range of keys.

    Returns:
        (1 or S, 1 or H, Lq, Lk); None: nothing is added.
    """
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
