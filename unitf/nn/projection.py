"""Projection: a linear layer that knows how few rows are multiplied fastest on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unitf.nn.reference_mode import is_reference_mode

_FEW = 8
_PAIR = 2
_CACHED = 64 * 1024  # numbers: a smaller matrix stays in the cache, where all ways are equal
_ROOM = 2**28  # numbers: a gibibyte
# what torch.compile packs weights with, where torch has oneDNN
_CAN_PACK = torch.backends.mkldnn.is_available() and hasattr(
    torch.ops.mkldnn, "_reorder_linear_weight"
)


def project(
    rows: Float[Tensor, "*N I"],
    weight: Float[Tensor, "O I"],
    bias: Float[Tensor, " O"] | None = None,
) -> Float[Tensor, "*N O"]:
    """rows · weightᵀ + bias; where few rows are read without gradients, at the speed of memory.

    For one row torch calls a product of matrix and vector, which reads weights at half the speed of
    memory (measured: 9 of 18 GB/s); one for two rows to eight, of weights from the left, is faster.
    For more than two, weights that were packed before are faster still; see `Packed`.
    """
    if not _is_read_only(rows, weight):
        return F.linear(rows, weight, bias)
    num_rows = rows.shape[0]
    if num_rows > _PAIR and (packed := _packed.get()) is not None:
        ready = packed.of(weight)
        if ready is not None:
            product = torch.ops.mkldnn._linear_pointwise
            return product(rows.contiguous(), ready, bias, "none", [], "")
    # what is wide is summed in pieces, which costs more than it saves
    if not 0 < num_rows <= (_FEW if weight.shape[0] >= weight.shape[1] else _PAIR):
        return F.linear(rows, weight, bias)
    if num_rows == 1:
        rows = rows.expand(2, -1).contiguous()  # strides of 1 and 0 would make it a vector again
    product = (weight @ rows.mT).mT[:num_rows]
    if num_rows > _PAIR:
        product = product.contiguous()  # attention is slow over what lies the other way
    return product if bias is None else product + bias


class PackedWeights:
    """Weights in the order in which oneDNN multiplies few rows fastest; each is packed when needed.

    As long as it is used, the weights must stay as they are. Packing takes as long as about ten
    products, so it is for a model that writes: 8 rows then take 0.6 to 0.7 of the time, 40 (beams)
    0.5 to 0.8.

    Args:
        numbers: how many are packed at most; other weights are multiplied as they lie.
    """

    def __init__(self, numbers: int = _ROOM) -> None:
        self.room: int = numbers  # they lie there twice
        # with the weights themselves, so that their numbers stay theirs
        self._found: dict[int, tuple[Tensor, Tensor]] = {}

    def of(self, weight: Tensor) -> Tensor | None:
        """The packed weight; None: there is no room for it, or it is made anew for each product."""
        if id(weight) in self._found:
            return self._found[id(weight)][1]
        if not isinstance(weight, nn.Parameter) or weight.numel() > self.room:
            return None
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _FEW)
        self.room -= weight.numel()
        self._found[id(weight)] = weight, packed
        return packed

    @contextmanager
    def used(self) -> Iterator[None]:
        """While it lasts, `project` multiplies what it packs."""
        token = _packed.set(self if _CAN_PACK else None)
        try:
            yield
        finally:
            _packed.reset(token)


_packed: ContextVar[PackedWeights | None] = ContextVar("packed", default=None)


def _is_read_only(rows: Tensor, weight: Tensor) -> bool:
    if torch.compiler.is_compiling():  # compiled code asks for nothing else
        return False
    return (
        rows.is_cpu
        and not is_reference_mode()
        and rows.ndim == 2
        and rows.dtype is torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and weight.numel() > _CACHED
    )


class Projection(nn.Linear):
    """A linear layer (`torch.nn.Linear`, with its parameters) that calls `project`."""

    def forward(self, input: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        return project(input, self.weight, self.bias)
