"""R-Drop: two passes over the same tokens with different dropout are trained to agree."""

from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from unitf.nn.cross_entropy import cross_entropy, less_expected, pieces, wide_dtype
from unitf.nn.reference_mode import is_reference_mode

if TYPE_CHECKING:

    class _Context(FunctionCtx):
        """What `forward` keeps for `backward`."""

        settings: tuple[float, float]  # label smoothing and weight
        saved_tensors: tuple[Tensor, ...]
else:
    _Context = FunctionCtx


def losses_of_two(
    one: Float[Tensor, "N V"],
    other: Float[Tensor, "N V"],
    ids: Int[Tensor, " N"],
    label_smoothing: float,
    consistency: float,
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """Returns for each token the loss to minimise, and its cross-entropy, as means of two passes.

    The loss is the smoothed cross-entropy plus `consistency` times a quarter of the divergences
    KL(p‖q) + KL(q‖p). So `consistency` is the α of Liang et al. (2021, "R-Drop: Regularized
    Dropout for Neural Networks", equation 4), whose loss is the sum over both passes.

    Args:
        one, other: the logits of the two passes.
        ids: the true ids.
        label_smoothing: the part of the target that is spread over the whole vocabulary.
        consistency: α.
    """
    if not is_reference_mode():
        losses = _TwoPasses.apply(one, other, ids, label_smoothing, consistency)
        return cast("tuple[Tensor, Tensor]", losses)
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
    """Computes the losses for a few tokens at a time, as `unitf.nn.cross_entropy` does."""

    @staticmethod
    def forward(
        ctx: _Context,
        one: Tensor,
        other: Tensor,
        ids: Tensor,
        label_smoothing: float,
        weight: float,
    ) -> tuple[Tensor, Tensor]:
        ids, dtype = ids.long(), wide_dtype(one)
        plain = one.new_empty(len(one), dtype=dtype)
        losses = torch.empty_like(plain)
        for piece in pieces(one):
            logs, p, q = _both(one[piece], other[piece], dtype)
            true = ids[piece, None]
            plain[piece] = -(logs[0].gather(1, true) + logs[1].gather(1, true))[:, 0] / 2
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
    def backward(ctx: _Context, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        one, other, ids = ctx.saved_tensors
        smoothing, weight = ctx.settings
        gradients = torch.empty_like(one), torch.empty_like(other)
        for piece in pieces(one):
            logs, p, q = _both(one[piece], other[piece], upstream.dtype)
            apart = logs[0].sub_(logs[1])
            for gradient, mine, theirs, sign in (gradients[0], p, q, 1), (gradients[1], q, p, -1):
                # the derivative of Σ(p - q)·d by the logits of p, where d = log p - log q, is
                # p·d + p - q - p·Σp·d
                products = mine * apart * sign
                rows = products - mine * products.sum(1, keepdim=True) + mine - theirs
                expected = less_expected(mine.clone(), ids[piece], smoothing)
                rows.mul_(weight / 4).add_(expected, alpha=0.5)
                gradient[piece] = rows.mul_(upstream[piece, None])
        return (*gradients, None, None, None)


def _both(
    one: Tensor, other: Tensor, dtype: torch.dtype
) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
    """Returns the log-probabilities of both passes, and the probabilities of each."""
    logs = one.to(dtype).log_softmax(1), other.to(dtype).log_softmax(1)
    return logs, logs[0].exp(), logs[1].exp()
