"""Absolute position embeddings: vectors that are added to tokens for their positions."""

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
"""The names of the position embeddings."""


class SinusoidalPositions(nn.Module):
    """Sines and cosines of geometrically spaced wavelengths (Vaswani et al., 2017), for P axes.

    Each axis gets an equal part of the width. Positions may be fractional and of any size.
    """

    frequencies: Tensor

    def __init__(self, dim: int, num_axes: int = 1, base: float = 10_000.0) -> None:
        super().__init__()
        self.dim: int = dim
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
    """A learned vector for each point of a grid; positions are whole numbers.

    Args:
        dim: the width of a vector.
        shape: the size of the grid along each axis.
        offset: the number of additional, unused rows of the first axis before the row of position 0
            (two in RoBERTa, BART and OPT).
    """

    def __init__(self, dim: int, shape: Sequence[int], offset: int = 0) -> None:
        super().__init__()
        self.shape: tuple[int, ...] = (shape[0] + offset, *shape[1:])
        self.offset: int = offset
        self.table: Tensor = nn.Parameter(torch.empty(math.prod(self.shape), dim))
        nn.init.trunc_normal_(self.table, std=0.02, a=-0.04, b=0.04)

    def lookup(self, indices: Sequence[Tensor]) -> Float[Tensor, "N D"]:
        """Returns the vectors at grid points.

        Args:
            indices: for each axis the indices (N,), which are clamped to the grid.
        """
        index = torch.zeros_like(indices[0], dtype=torch.long)
        for axis_index, size in zip(indices, self.shape, strict=True):
            index = index * size + axis_index.long().clamp(0, size - 1)
        return nn.functional.embedding(index, self.table)

    def forward(self, positions: Float[Tensor, "P N"]) -> Float[Tensor, "N D"]:
        first, *rest = positions.unbind(0)
        return self.lookup([first + self.offset, *rest])


class FixedPositions(LearnedPositions):
    """A vector for each point of a grid that is not trained, but saved with the weights.

    It is for published models that save their own sinusoidal vectors (Whisper, Marian). Before such
    weights are loaded, it holds those of `SinusoidalPositions`.
    """

    def __init__(self, dim: int, shape: Sequence[int], offset: int = 0) -> None:
        super().__init__(dim, shape, offset)
        del self.table
        indices = torch.cartesian_prod(*(torch.arange(size) - 0.0 for size in self.shape))
        waves = SinusoidalPositions(dim, len(self.shape))
        self.register_buffer("table", waves(indices.view(-1, len(self.shape)).mT))


class AdditivePositions(nn.Module):
    """A learned vector for each index of each axis; their sum over the axes is added to a token.

    For a text of two segments these are the positions and the token types of BERT.

    Args:
        dim: the width of a vector.
        shape: the size of each axis.
        offset: as in `LearnedPositions`.
    """

    def __init__(self, dim: int, shape: Sequence[int], offset: int = 0) -> None:
        super().__init__()
        self.offset: int = offset
        sizes = [shape[0] + offset, *shape[1:]]
        self.tables: nn.ParameterList = nn.ParameterList(torch.empty(size, dim) for size in sizes)
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
    """Learned vectors on a grid, interpolated linearly between its points."""

    def neighbours(self, fraction: Float[Tensor, " N"]) -> list[tuple[int, Tensor]]:
        """Returns the grid points that count along one axis: their steps and their weights.

        A step is counted from the grid point below the position.

        Args:
            fraction: the distance of the position from the grid point below, from 0 to 1.
        """
        return [(0, 1 - fraction), (1, fraction)]

    def inside(self, positions: Float[Tensor, "P N"]) -> Float[Tensor, "P N"]:
        """Moves positions outside the grid to its border."""
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
            for _, axis_weight in corner:
                weight = weight * axis_weight
            total = total + weight[:, None] * self.lookup(indices)
        return total


class CubicPositions(InterpolatedPositions):
    """Learned vectors on a grid, interpolated by cubic convolution (Keys, 1981).

    The results are those of torch's bicubic `interpolate`, with which published vision transformers
    adapt their position embeddings to images of another size.
    """

    sharpness: float = -0.75

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
        return positions  # `lookup` clamps each neighbour on its own


GRIDS: dict[str, type[LearnedPositions] | type[AdditivePositions]] = {
    "learned": LearnedPositions,
    "additive": AdditivePositions,
    "interpolated": InterpolatedPositions,
    "cubic": CubicPositions,
    "fixed": FixedPositions,
}
