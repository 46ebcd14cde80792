"""Gathers the rows of all processes, with their gradient."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import Function, FunctionCtx, once_differentiable

from unitf.nn.batch_norm import sum_over_processes

if TYPE_CHECKING:

    class _GatherContext(FunctionCtx):
        """What `forward` keeps for `backward`."""

        first: int
        count: int
else:
    _GatherContext = FunctionCtx


def gather_rows(
    own: Float[Tensor, "L *E"], counts: Sequence[int], rank: int
) -> Float[Tensor, "M *E"]:
    """Returns the rows of all processes, in the order of their ranks.

    The gradient of a process's own rows is the sum of the gradients that all processes have for
    them. So every process must call this equally often, if with no row, and go back through it.

    Args:
        own: the rows of this process.
        counts: the number of rows of each process.
        rank: the number of this process.
    """
    if len(counts) == 1:
        return own
    return cast(Tensor, _Gathered.apply(own, sum(counts), sum(counts[:rank])))


class _Gathered(Function):
    """A sum over processes, each of which has zeros where the rows of the others are."""

    @staticmethod
    def forward(ctx: _GatherContext, own: Tensor, total: int, first: int) -> Tensor:
        ctx.first, ctx.count = first, len(own)
        rows = own.new_zeros(total, *own.shape[1:])
        rows[first : first + len(own)] = own
        return sum_over_processes(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: _GatherContext, upstream: Tensor) -> tuple[Tensor | None, ...]:
        rows = sum_over_processes(upstream.clone())  # the sum is made in place
        return rows[ctx.first : ctx.first + ctx.count], None, None
