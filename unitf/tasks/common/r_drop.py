"""R-Drop: two passes over the same tokens, which differ in what dropout left out, shall agree."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from unitf.nn.cross_entropy import cross_entropy, less_expected, pieces, wide_dtype
from unitf.nn.reference_mode import is_reference_mode


def losses_of_two(
    one: Float[Tensor, "N V"],
    other: Float[Tensor, "N V"],
    ids: Int[Tensor, " N"],
    label_smoothing: float,
    consistency: float,
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """Of each token the loss to be minimised, and its cross-entropy: means over both passes.

    To the smoothed cross-entropy comes `consistency` times a quarter of the divergences
    KL(p‖q) + KL(q‖p), so that α is that of Liang et al. (2021, "R-Drop: Regularized Dropout for
    Neural Networks", equation 4), whose loss is the sum of both passes.

    Args:
        one, other: the logits of both.
    """
    if not is_reference_mode():
        return _TwoPasses.apply(one, other, ids, label_smoothing, consistency)  # type: ignore
    smoothed, plain = (
        (first + second) / 2
        for first, second in zip(
            cross_entropy(one, ids, label_smoothing),
            cross_entropy(other, ids, label_smoothing),
            strict=True,
        )
    )
    logs, p, q = _both(one, other, plain.dtype)
    divergences = ((p - q) * (logs[0] - logs[1])).sum(1)
    return smoothed + consistency / 4 * divergences, plain


class _TwoPasses(torch.autograd.Function):
    """A few tokens at a time, as in `unitf.nn.cross_entropy`."""

    @staticmethod
    def forward(
        ctx: Any, one: Tensor, other: Tensor, ids: Tensor, label_smoothing: float, weight: float
    ) -> tuple[Tensor, Tensor]:
        ids, dtype = ids.long(), wide_dtype(one)
        plain = one.new_empty(len(one), dtype=dtype)
        losses = torch.empty_like(plain)
        for piece in pieces(one):
            logs, p, q = _both(one[piece], other[piece], dtype)
            own = ids[piece, None]
            plain[piece] = -(logs[0].gather(1, own) + logs[1].gather(1, own))[:, 0] / 2
            losses[piece] = (p.sub_(q) * (logs[0] - logs[1])).sum(1) * (weight / 4)
            losses[piece] += (1 - label_smoothing) * plain[piece]
            if label_smoothing:
                losses[piece] -= label_smoothing / 2 * (logs[0].mean(1) + logs[1].mean(1))
        ctx.save_for_backward(one, other, ids)
        ctx.settings = label_smoothing, weight
        ctx.mark_non_differentiable(plain)
        return losses, plain

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        one, other, ids = ctx.saved_tensors
        smoothing, weight = ctx.settings
        gradients = torch.empty_like(one), torch.empty_like(other)
        for piece in pieces(one):
            logs, p, q = _both(one[piece], other[piece], upstream.dtype)
            apart = logs[0].sub_(logs[1])
            for gradient, mine, theirs, sign in (gradients[0], p, q, 1), (gradients[1], q, p, -1):
                # of (p - q)(log p - log q): p·d + p - q - p·Σp·d, where d = log p - log q
                products = mine * apart * sign
                rows = products - mine * products.sum(1, keepdim=True) + mine - theirs
                expected = less_expected(mine.clone(), ids[piece], smoothing)
                rows.mul_(weight / 4).add_(expected, alpha=0.5)
                gradient[piece] = rows.mul_(upstream[piece, None])
        return (*gradients, None, None, None)


def _both(
    one: Tensor, other: Tensor, dtype: torch.dtype
) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
    """Log-probabilities of both passes, and their probabilities."""
    logs = one.to(dtype).log_softmax(1), other.to(dtype).log_softmax(1)
    return logs, logs[0].exp(), logs[1].exp()
