"""Cross-entropy over large vocabularies: a few tokens at a time, so that they stay in the cache."""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from unitf.nn.reference_mode import is_reference_mode

_NUMBERS = {"cpu": 2**18}  # of a piece: a megabyte in float32
_OTHERWISE = 2**26  # where memory, not a cache, sets the bound


def cross_entropy(
    logits: Float[Tensor, "N V"], ids: Int[Tensor, " N"], label_smoothing: float = 0.0
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """Of each token the loss to be minimised, and the cross-entropy in it (without a gradient).

    Both are those of `torch.nn.functional.cross_entropy`, in float32 at least.
    """
    if is_reference_mode():
        wide = logits.to(wide_dtype(logits))
        losses = F.cross_entropy(wide, ids, reduction="none", label_smoothing=label_smoothing)
        return losses, F.cross_entropy(wide.detach(), ids, reduction="none")
    return _CrossEntropy.apply(logits, ids, label_smoothing)  # type: ignore[return-value]


def pieces(logits: Float[Tensor, "N V"]) -> Iterator[slice]:
    """So many rows at a time as are fast together."""
    size = max(1, _NUMBERS.get(logits.device.type, _OTHERWISE) // max(logits.shape[1], 1))
    for first in range(0, len(logits), size):
        yield slice(first, first + size)


def wide_dtype(logits: Tensor) -> torch.dtype:
    """Float32, or what is wider."""
    return torch.promote_types(logits.dtype, torch.float32)


def less_expected(
    probabilities: Float[Tensor, "N V"], ids: Int[Tensor, " N"], label_smoothing: float
) -> Float[Tensor, "N V"]:
    """Probabilities less those that are expected, in place: the gradient of the cross-entropy."""
    if label_smoothing:
        probabilities -= label_smoothing / probabilities.shape[1]
    own = probabilities.new_full((len(ids), 1), label_smoothing - 1)
    return probabilities.scatter_add_(1, ids[:, None], own)


class _CrossEntropy(torch.autograd.Function):
    """No N×V numbers in float32; what is kept for the way back are the logits as they are."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, ids: Tensor, label_smoothing: float
    ) -> tuple[Tensor, Tensor]:
        wide, ids = wide_dtype(logits), ids.long()
        normalisers = logits.new_empty(len(logits), dtype=wide)
        plain, losses = torch.empty_like(normalisers), torch.empty_like(normalisers)
        for piece in pieces(logits):
            rows = logits[piece].to(wide)
            normalisers[piece] = normaliser = rows.logsumexp(1)
            own = rows.gather(1, ids[piece, None])[:, 0]
            plain[piece] = losses[piece] = normaliser - own
            if label_smoothing:
                losses[piece] += label_smoothing * (own - rows.mean(1))
        ctx.save_for_backward(logits, ids, normalisers)
        ctx.label_smoothing = label_smoothing
        ctx.mark_non_differentiable(plain)
        return losses, plain

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        logits, ids, normalisers = ctx.saved_tensors
        smoothing, gradients = ctx.label_smoothing, torch.empty_like(logits)
        for piece in pieces(logits):
            rows = (logits[piece].to(normalisers.dtype) - normalisers[piece, None]).exp_()
            gradients[piece] = less_expected(rows, ids[piece], smoothing).mul_(
                upstream[piece, None]
            )
        return gradients, None, None
