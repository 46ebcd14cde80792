"""Absolute positions: what is added to a token for where it stands."""

import math
from collections.abc import Sequence
from itertools import product
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

PositionEmbeddingName = Literal[
    "sinusoidal", "learned", "additive", "interpolated", "cubic", "fixed", "none"
]


class SinusoidalPositions(nn.Module):
    """Sines and cosines of geometrically spaced wavelengths (Vaswani et al., 2017), P axes.

    Each axis has its share of the width; positions may be fractional and of any size.
    """

    frequencies: Tensor

    def __init__(self, dim: int, num_axes: int = 1, base: float = 10_000.0) -> None:
        super().__init__()
        self.dim = dim
        pairs = dim // (2 * num_axes)
        if pairs == 0:
            raise ValueError(f"dim {dim} is too small for {num_axes} position axes")
        frequencies = base ** (-torch.arange(pairs, dtype=torch.float32) / pairs)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, positions: Float[Tensor, "P N"]) -> Float[Tensor, "N D"]:
        angles = positions.mT[:, :, None].float() * self.frequencies  # (N, P, pairs)
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)
        return nn.functional.pad(waves, (0, self.dim - waves.shape[1]))


class LearnedPositions(nn.Module):
    """A learned vector for each place of a grid; positions are whole numbers on it.

    Args:
        dim: the width of a vector.
        shape: the size of the grid along each axis.
        offset: the first axis has so many rows more, before the one of position 0, which nobody
            reads (two in RoBERTa, BART and OPT).
    """

    def __init__(self, dim: int, shape: Sequence[int], offset: int = 0) -> None:
        super().__init__()
        self.shape = (shape[0] + offset, *shape[1:])
        self.offset = offset
        self.table = nn.Parameter(torch.empty(math.prod(self.shape), dim))
        nn.init.trunc_normal_(self.table, std=0.02, a=-0.04, b=0.04)

    def lookup(self, indices: Sequence[Tensor]) -> Float[Tensor, "N D"]:
        """The vectors at whole places, one tensor (N,) for each axis; clamped to the grid."""
        index = torch.zeros_like(indices[0], dtype=torch.long)
        for axis_index, size in zip(indices, self.shape, strict=True):
            index = index * size + axis_index.long().clamp(0, size - 1)
        return nn.functional.embedding(index, self.table)

    def forward(self, positions: Float[Tensor, "P N"]) -> Float[Tensor, "N D"]:
        first, *rest = positions.unbind(0)
        return self.lookup([first + self.offset, *rest])


class FixedPositions(LearnedPositions):
    """A vector for each place of a grid that is not learned, but kept with the weights.

    For published models that keep waves of their own (Whisper, Marian); it begins with the usual.
    """

    def __init__(self, dim: int, shape: Sequence[int], offset: int = 0) -> None:
        super().__init__(dim, shape, offset)
        del self.table
        indices = torch.cartesian_prod(*(torch.arange(size) - 0.0 for size in self.shape))
        waves = SinusoidalPositions(dim, len(self.shape))
        self.register_buffer("table", waves(indices.view(-1, len(self.shape)).mT))


class AdditivePositions(nn.Module):
    """A learned vector for each place of each axis; a token has their sum over the axes.

    In a text of two segments these are the positions and the token types of BERT.
    """

    def __init__(self, dim: int, shape: Sequence[int], offset: int = 0) -> None:
        super().__init__()
        self.offset = offset
        sizes = [shape[0] + offset, *shape[1:]]
        self.tables = nn.ParameterList(torch.empty(size, dim) for size in sizes)
        for table in self.tables:
            nn.init.trunc_normal_(table, std=0.02, a=-0.04, b=0.04)

    def forward(self, positions: Float[Tensor, "P N"]) -> Float[Tensor, "N D"]:
        first, *rest = positions.unbind(0)
        vectors = [
            nn.functional.embedding(indices.long().clamp(0, len(table) - 1), table)
            for indices, table in zip([first + self.offset, *rest], self.tables, strict=True)
        ]
        return sum(vectors[1:], vectors[0])


class InterpolatedPositions(LearnedPositions):
    """Learned vectors on a grid, interpolated linearly between its places."""

    def neighbours(self, fraction: Float[Tensor, " N"]) -> list[tuple[int, Tensor]]:
        """Along one axis: how far a place is from the one below, and how much its vector counts.

        Args:
            share: of the way from the place below to the next.
        """
        return [(0, 1 - fraction), (1, fraction)]

    def inside(self, positions: Float[Tensor, "P N"]) -> Float[Tensor, "P N"]:
        """Positions no farther out than the outermost places."""
        return torch.stack(
            [p.clamp(0, size - 1) for p, size in zip(positions, self.shape, strict=True)]
        )

    def forward(self, positions: Float[Tensor, "P N"]) -> Float[Tensor, "N D"]:
        positions = self.inside(positions)
        low = positions.floor()
        axes = [self.neighbours(fraction) for fraction in positions - low]
        total = torch.zeros((), device=positions.device)
        for corner in product(*axes):
            indices = [low[axis] + step for axis, (step, _) in enumerate(corner)]
            weight = torch.ones_like(low[0])
            for _, counts in corner:
                weight = weight * counts
            total = total + weight[:, None] * self.lookup(indices)
        return total


class CubicPositions(InterpolatedPositions):
    """Learned vectors on a grid, interpolated by cubic convolution (Keys, 1981), as images are.

    The same numbers as torch's bicubic `interpolate`, by which published vision transformers bring
    their positions to images of another size.
    """

    sharpness = -0.75

    def neighbours(self, fraction: Float[Tensor, " N"]) -> list[tuple[int, Tensor]]:
        a = self.sharpness

        def near(x: Tensor) -> Tensor:
            return ((a + 2) * x - (a + 3)) * x * x + 1

        def far(x: Tensor) -> Tensor:
            return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

        return [
            (-1, far(fraction + 1)),
            (0, near(fraction)),
            (1, near(1 - fraction)),
            (2, far(2 - fraction)),
        ]

    def inside(self, positions: Float[Tensor, "P N"]) -> Float[Tensor, "P N"]:
        return positions  # only the places that are read are inside


GRIDS = {
    "learned": LearnedPositions,
    "additive": AdditivePositions,
    "interpolated": InterpolatedPositions,
    "cubic": CubicPositions,
    "fixed": FixedPositions,
}
