"""Absolute positions: what is added to a token so that it knows where it stands."""

import math
from collections.abc import Sequence
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor, nn


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
    """A learned vector for each place of a grid; positions are whole numbers on it."""

    def __init__(self, dim: int, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.table = nn.Parameter(torch.empty(math.prod(self.shape), dim))
        nn.init.trunc_normal_(self.table, std=0.02, a=-0.04, b=0.04)

    def lookup(self, places: Sequence[Tensor]) -> Float[Tensor, "N D"]:
        """The vectors at whole places, one tensor (N,) for each axis; clamped to the grid."""
        index = torch.zeros_like(places[0], dtype=torch.long)
        for place, size in zip(places, self.shape, strict=True):
            index = index * size + place.long().clamp(0, size - 1)
        return nn.functional.embedding(index, self.table)

    def forward(self, positions: Float[Tensor, "P N"]) -> Float[Tensor, "N D"]:
        return self.lookup(list(positions.unbind(0)))


class InterpolatedPositions(LearnedPositions):
    """Learned vectors on a grid, interpolated linearly between its places."""

    def forward(self, positions: Float[Tensor, "P N"]) -> Float[Tensor, "N D"]:
        positions = torch.stack(
            [p.clamp(0, size - 1) for p, size in zip(positions, self.shape, strict=True)]
        )
        low = positions.floor()
        share = positions - low
        total = torch.zeros((), device=positions.device)
        for corner in product((0, 1), repeat=len(self.shape)):
            places = [low[axis] + step for axis, step in enumerate(corner)]
            weight = torch.ones_like(share[0])
            for axis, step in enumerate(corner):
                weight = weight * (share[axis] if step else 1 - share[axis])
            total = total + weight[:, None] * self.lookup(places)
        return total
