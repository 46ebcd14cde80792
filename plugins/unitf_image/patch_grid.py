"""The grid of patches, and coordinates that a core can use instead of (row, column)."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unitf import Configurable, Features, UserError
from unitf.tokenizer import Canvas, boxes_of, ranks
from unitf_image.resizing import Size


@dataclass(frozen=True)
class Coordinates(Configurable):
    """Coordinates of patches for relative positions: (index + shift) / length · extent + start.

    `index` and `length` (the number of patches) belong to one axis. With them the coordinates of
    images of all sizes lie in one range: from -1 to 1 with shift 0.5, extent 2 and start -1
    (DINOv3).

    Args:
        extent: the range of rows and of columns; None: their number, so that a patch has width 1.
        shift: the offset of a patch, in patches.
        start: the coordinate at which the first patch begins.
    """

    extent: list[float] | None = None
    shift: float = 0.0
    start: float = 0.0

    def __post_init__(self) -> None:
        if self.extent is not None and (len(self.extent) != 2 or min(self.extent) <= 0):
            raise UserError(
                f"coordinates.extent: expected two numbers above 0, found {self.extent}"
            )

    def of(self, features: Features, grid: Size | None = None) -> Float[Tensor, "2 N"]:
        """Returns the coordinates of a batch of images.

        Args:
            grid: the grid onto which all patches are mapped; None: each image has its own.
        """
        positions = features.positions
        if grid is None and self.extent is None:
            return positions + (self.shift + self.start)
        lengths = _last(features) + 1
        if grid is not None:  # the inverse of `grid_positions`
            on_grid = positions.new_tensor(grid)[:, None]
            lengths = (on_grid / 2 / (on_grid + 0.5 - lengths)).round()
            positions = (positions + 0.5) * (lengths / on_grid) - 0.5
        extent = lengths if self.extent is None else positions.new_tensor(self.extent)[:, None]
        return (positions + self.shift) / lengths * extent + self.start


def _last(features: Features) -> Float[Tensor, "2 N"]:
    """Returns for each patch the last row and column of its image, without synchronising."""
    positions = features.positions
    counts = torch.tensor(features.lengths, device=positions.device)
    owners = torch.arange(len(counts), device=positions.device)
    owners = owners.repeat_interleave(counts, output_size=features.num_tokens).expand_as(positions)
    last = positions.new_zeros(len(positions), len(counts)).scatter_reduce(
        1, owners, positions, "amax"
    )
    return last.gather(1, owners)


def whole_patches(size: Iterable[int], patch: Size) -> Size:
    """Returns the sides of an image that is cut after its last whole patch."""
    rows, columns = (side - side % p or side for side, p in zip(size, patch, strict=True))
    return rows, columns


def to_grid(size: Iterable[int], patch: Size) -> Size:
    """Returns the rows and columns of patches that cover an image."""
    rows, columns = (-(-side // p) for side, p in zip(size, patch, strict=True))
    return rows, columns


def patch_canvas(image: np.ndarray, features: Features, patch: Size) -> Canvas:
    """Returns an image with the boxes of its patches; other than 1 or 3 channels become grey."""
    if image.ndim == 3 and image.shape[2] != 3:
        image = image[:, :, :3] if image.shape[2] == 4 else image.mean(2).astype(np.uint8)
    row, column = ranks(features)
    return Canvas(image, boxes_of(column * patch[1], row * patch[0], patch[1], patch[0]))


@cache
def grid_positions(grid: Size, reference: Size | None = None) -> Float[Tensor, "2 N"]:
    """Returns (row, column) of each patch, mapped onto `reference` (pixel centres are kept)."""
    rows, columns = (torch.arange(n, dtype=torch.float32) for n in grid)
    if reference is not None and reference != grid:
        rows = (rows + 0.5) * (reference[0] / grid[0]) - 0.5
        columns = (columns + 0.5) * (reference[1] / grid[1]) - 0.5
    return torch.stack([rows.repeat_interleave(grid[1]), columns.repeat(grid[0])])
