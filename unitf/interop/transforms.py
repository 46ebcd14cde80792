"""Changes: how tensors of a peer become a tensor of unitf, and, bit for bit, how they go back."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unitf.errors import UserError


class TensorTransform(ABC):
    """Tensors of a peer to one of unitf, and back; what has no counterpart is None."""

    @abstractmethod
    def to_unitf(self, theirs: Sequence[Tensor | None]) -> Tensor:
        """The tensor of unitf that the peer's make."""

    @abstractmethod
    def from_unitf(self, ours: Tensor) -> list[Tensor]:
        """The tensors of the peer."""


class Same(TensorTransform):
    """One tensor as it is; of several that a peer ties, each is the same."""

    def __init__(self, count: int = 1) -> None:
        self.count = count

    def to_unitf(self, theirs: Sequence[Tensor | None]) -> Tensor:
        present = [tensor for tensor in theirs if tensor is not None]
        if any(not torch.equal(present[0], other) for other in present[1:]):
            raise UserError("tensors that this architecture ties to each other differ")
        return present[0]

    def from_unitf(self, ours: Tensor) -> list[Tensor]:
        return [ours] * self.count


class Transposed(TensorTransform):
    """A matrix whose rows are inputs, as in GPT-2's Conv1D."""

    def to_unitf(self, theirs: Sequence[Tensor | None]) -> Tensor:
        return _one(theirs).mT if _one(theirs).ndim == 2 else _one(theirs)

    def from_unitf(self, ours: Tensor) -> list[Tensor]:
        return [ours.mT if ours.ndim == 2 else ours]


class Joined(TensorTransform):
    """Several tensors below each other; zeros for one that is missing (a bias of the keys).

    Args:
        sizes: how many rows each has, after axes of length 1 in front are taken away.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = list(sizes)

    def to_unitf(self, theirs: Sequence[Tensor | None]) -> Tensor:
        model = next(tensor for tensor in theirs if tensor is not None)
        width = model.shape[1:] if model.shape[0] in self.sizes else model.shape[-1:]
        parts = [
            model.new_zeros(size, *width) if tensor is None else tensor.reshape(size, *width)
            for tensor, size in zip(theirs, self.sizes, strict=True)
        ]
        return torch.cat(parts)

    def from_unitf(self, ours: Tensor) -> list[Tensor]:
        return list(ours.split(self.sizes))


class Part(TensorTransform):
    """Some rows of a tensor whose other rows are another tensor of unitf.

    Args:
        first: the first row that belongs to it.
        last: the one after the last.
    """

    def __init__(self, first: int, last: int) -> None:
        self.rows: Any = slice(first, last)

    def to_unitf(self, theirs: Sequence[Tensor | None]) -> Tensor:
        return _rows(_one(theirs))[self.rows]

    def from_unitf(self, ours: Tensor) -> list[Tensor]:
        return [ours]

    def put(self, whole: Tensor, part: Tensor) -> None:
        """Writes the rows into the peer's tensor."""
        rows = _rows(whole)
        rows[self.rows] = part.reshape(rows[self.rows].shape)


class Picked(Part):
    """Likewise, rows that do not lie side by side.

    Args:
        rows: their numbers, in the order that unitf has them in.
    """

    def __init__(self, rows: Sequence[int]) -> None:
        self.rows = torch.tensor(list(rows))


class Rows(TensorTransform):
    """The rows in another order: row i of unitf is row order[i] of the peer."""

    def __init__(self, order: Sequence[int] | Tensor) -> None:
        self.order = torch.as_tensor(order)

    def to_unitf(self, theirs: Sequence[Tensor | None]) -> Tensor:
        return _one(theirs)[self.order]

    def from_unitf(self, ours: Tensor) -> list[Tensor]:
        return [ours[self.order.argsort()]]


class Then(TensorTransform):
    """One change after another: the first takes the peer's tensors, the others one each."""

    def __init__(self, *changes: TensorTransform) -> None:
        self.changes = changes

    def to_unitf(self, theirs: Sequence[Tensor | None]) -> Tensor:
        tensor = self.changes[0].to_unitf(theirs)
        for change in self.changes[1:]:
            tensor = change.to_unitf([tensor])
        return tensor

    def from_unitf(self, ours: Tensor) -> list[Tensor]:
        for change in reversed(self.changes[1:]):
            [ours] = change.from_unitf(ours)
        return self.changes[0].from_unitf(ours)


def half_turned(num_heads: int, head_dim: int, rotary_dim: int | None = None) -> Tensor:
    """The order of rows in which pairs (0, 1), (2, 3), … become pairs (0, d/2), (1, d/2 + 1), …

    For rotary positions: peers that turn neighbours (EVA, GPT-J) as unitf, which turns halves.

    Args:
        rotary_dim: only so many rows of each head are turned, the first ones.
    """
    turned = rotary_dim or head_dim
    order = [*range(0, turned, 2), *range(1, turned, 2), *range(turned, head_dim)]
    heads = torch.arange(num_heads)[:, None] * head_dim
    return (heads + torch.tensor(order)).flatten()


def _rows(tensor: Tensor) -> Tensor:
    """The tensor as a matrix, or as numbers where it is no more than those (a bias)."""
    return tensor.flatten(0, -2) if tensor.ndim > 1 else tensor


def _one(theirs: Sequence[Tensor | None]) -> Tensor:
    [tensor] = theirs
    assert tensor is not None
    return tensor
