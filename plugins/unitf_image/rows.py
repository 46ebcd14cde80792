"""Cuts an image into rows of patches, and joins them."""

import numpy as np
from jaxtyping import Float

from unitf_image.patch_grid import to_grid
from unitf_image.resizing import Size


def to_rows(
    image: Float[np.ndarray, "C H W"], patch: Size, overlap: int = 0
) -> Float[np.ndarray, "N F"]:
    """Returns the windows of all patches, row by row; the image is padded with zeros."""
    channels, *sides = image.shape
    grid = to_grid(sides, patch)
    spare = [g * p - side for g, p, side in zip(grid, patch, sides, strict=True)]
    if overlap or any(spare):
        padded = np.zeros(
            (channels, *(s + e + 2 * overlap for s, e in zip(sides, spare, strict=True))),
            np.float32,
        )
        padded[:, overlap : overlap + sides[0], overlap : overlap + sides[1]] = image
        image = padded
    c, h, w = image.strides
    windows = np.lib.stride_tricks.as_strided(
        image,
        (*grid, channels, *(p + 2 * overlap for p in patch)),
        (h * patch[0], w * patch[1], c, h, w),
    )
    return windows.reshape(grid[0] * grid[1], -1)


def from_rows(
    rows: Float[np.ndarray, "N F"], positions: np.ndarray, patch: Size, overlap: int = 0
) -> Float[np.ndarray, "C H W"]:
    """Returns the image made of the centres of the windows; missing patches are zeros."""
    height, width = patch
    windows = rows.reshape(len(rows), -1, height + 2 * overlap, width + 2 * overlap)
    centres = windows[:, :, overlap : overlap + height, overlap : overlap + width]
    grid = positions.max(1) + 1
    canvas = np.zeros((grid[0], grid[1], centres.shape[1], height, width), np.float32)
    canvas[positions[0], positions[1]] = centres
    return canvas.transpose(2, 0, 3, 1, 4).reshape(-1, grid[0] * height, grid[1] * width)
