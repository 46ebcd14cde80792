"""Learned positions of one size or length, for another."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

_MODES = {2: "bicubic", 3: "trilinear"}


def resize(
    table: Float[Tensor, "old D"], old: Sequence[int], new: Sequence[int]
) -> Float[Tensor, "new D"] | None:
    """The vectors of one grid on another; None where it has other axes.

    A sequence keeps its places, and repeats them where it is longer (Longformer, Beltagy et al.,
    2020): its tokens stand at fixed distances. A grid of an image is the same picture, finer or
    coarser, so it is interpolated (bicubic, as in ViT, Dosovitskiy et al., 2021).
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
