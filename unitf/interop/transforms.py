"""Transforms between tensors of a published model and of unitf, exact in both directions."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from unitf.errors import UserError


class TensorTransform(ABC):
    """Turns tensors of a published model into one of unitf, and back; a missing tensor is None."""

    @abstractmethod
    def to_unitf(self, theirs: Sequence[Tensor | None]) -> Tensor:
        """Returns the tensor of unitf for the published tensors."""

    @abstractmethod
    def from_unitf(self, ours: Tensor) -> list[Tensor]:
        """Returns the published tensors for the tensor of unitf."""


class Same(TensorTransform):
    """Leaves a tensor unchanged; several tied tensors of a published model must be equal."""

    def __init__(self, count: int = 1) -> None:
        self.count: int = count

    def to_unitf(self, theirs: Sequence[Tensor | None]) -> Tensor:
        present = [tensor for tensor in theirs if tensor is not None]
        if any(not torch.equal(present[0], other) for other in present[1:]):
            raise UserError("tensors that this architecture ties to each other differ")
        return present[0]

    def from_unitf(self, ours: Tensor) -> list[Tensor]:
        return [ours] * self.count


class Transposed(TensorTransform):
    """Transposes a matrix whose rows are inputs, as in the Conv1D of GPT-2."""

    def to_unitf(self, theirs: Sequence[Tensor | None]) -> Tensor:
        return _one(theirs).mT if _one(theirs).ndim == 2 else _one(theirs)

    def from_unitf(self, ours: Tensor) -> list[Tensor]:
        return [ours.mT if ours.ndim == 2 else ours]


class Joined(TensorTransform):
    """Concatenates tensors along the rows; a missing one (a key bias) becomes zeros.

    Args:
        sizes: the number of rows of each tensor, without leading axes of length 1.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes: list[int] = list(sizes)

    def to_unitf(self, theirs: Sequence[Tensor | None]) -> Tensor:
        present = next(tensor for tensor in theirs if tensor is not None)
        width = present.shape[1:] if present.shape[0] in self.sizes else present.shape[-1:]
        parts = [
            present.new_zeros(size, *width) if tensor is None else tensor.reshape(size, *width)
            for tensor, size in zip(theirs, self.sizes, strict=True)
        ]
        return torch.cat(parts)

    def from_unitf(self, ours: Tensor) -> list[Tensor]:
        return list(ours.split(self.sizes))


class Part(TensorTransform):
    """Takes some rows of a published tensor; the other rows are another tensor of unitf.

    Args:
        first: the first row.
        last: the row after the last one.
    """

    def __init__(self, first: int, last: int) -> None:
        self.rows: slice | Tensor = slice(first, last)

    def to_unitf(self, theirs: Sequence[Tensor | None]) -> Tensor:
        return _rows(_one(theirs))[self.rows]

    def from_unitf(self, ours: Tensor) -> list[Tensor]:
        return [ours]

    def put(self, whole: Tensor, part: Tensor) -> None:
        """Writes the rows into the published tensor `whole`."""
        rows = _rows(whole)
        rows[self.rows] = part.reshape(rows[self.rows].shape)


class Picked(Part):
    """Does the same as Part for rows that are not adjacent.

    Args:
        rows: the numbers of the rows, in the order of unitf.
    """

    def __init__(self, rows: Sequence[int]) -> None:
        self.rows: slice | Tensor = torch.tensor(list(rows))


class Rows(TensorTransform):
    """Reorders the rows: row i of unitf is row order[i] of the published tensor."""

    def __init__(self, order: Sequence[int] | Tensor) -> None:
        self.order: Tensor = torch.as_tensor(order)

    def to_unitf(self, theirs: Sequence[Tensor | None]) -> Tensor:
        return _one(theirs)[self.order]

    def from_unitf(self, ours: Tensor) -> list[Tensor]:
        return [ours[self.order.argsort()]]


class Then(TensorTransform):
    """Applies several transforms in order; only the first may take several tensors."""

    def __init__(self, *changes: TensorTransform) -> None:
        self.changes: tuple[TensorTransform, ...] = changes

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
    """Returns the row order in which pairs (0, 1), (2, 3), … become (0, d/2), (1, d/2 + 1), …

    Rotary positions of some models (EVA, GPT-J) rotate adjacent numbers; unitf rotates halves.

    Args:
        num_heads: the number of heads.
        head_dim: d, the number of rows of each head.
        rotary_dim: how many of the first rows of each head are rotated; by default all.
    """
    turned = rotary_dim or head_dim
    order = [*range(0, turned, 2), *range(1, turned, 2), *range(turned, head_dim)]
    heads = torch.arange(num_heads)[:, None] * head_dim
    return (heads + torch.tensor(order)).flatten()


def _rows(tensor: Tensor) -> Tensor:
    """Returns a tensor as a matrix; a vector (a bias) stays as it is."""
    return tensor.flatten(0, -2) if tensor.ndim > 1 else tensor


def _one(theirs: Sequence[Tensor | None]) -> Tensor:
    [tensor] = theirs
    assert tensor is not None
    return tensor
