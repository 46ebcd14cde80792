"""Resizes learned positions to a grid or sequence of another size."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

_MODES = {2: "bicubic", 3: "trilinear"}


def resize(
    table: Float[Tensor, "old D"], old: Sequence[int], new: Sequence[int]
) -> Float[Tensor, "new D"] | None:
    """Returns the position vectors of one grid for another, or None if the axes differ.

    A sequence keeps its vectors and repeats them if it is longer (Longformer, Beltagy et al.,
    2020), because the distance between its tokens stays the same. The grid of an image shows the
    same picture, finer or coarser, so it is interpolated (bicubic, as in ViT, Dosovitskiy et al.,
    2021).

    Args:
        table: a vector for each point of the old grid.
        old: the size of the old grid, axis by axis.
        new: the size of the new grid.
    """
    if len(old) != len(new) or len(old) > 3:
        return None
    if tuple(old) == tuple(new):
        return table
    if len(old) == 1:
        return table[torch.arange(new[0], device=table.device) % old[0]]
    grid = table.float().unflatten(0, tuple(old)).movedim(-1, 0)[None]
    grid = functional.interpolate(grid, tuple(new), mode=_MODES[len(old)], antialias=len(old) == 2)
    return grid[0].movedim(0, -1).flatten(0, -2).to(table.dtype)
