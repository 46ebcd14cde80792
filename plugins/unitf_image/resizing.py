"""Cutting a box out of an image and giving it another size."""

import numpy as np
import torch

from unitf_image.reading import Pixels

Size = tuple[int, int]  # (rows, columns)


def resize(pixels: Pixels, size: Size) -> Pixels:
    """An image of another size, bilinear with antialiasing; uint8 stays uint8."""
    if pixels.shape[1:] == size:
        return pixels
    batch = torch.from_numpy(np.ascontiguousarray(pixels))[None]
    resized = torch.nn.functional.interpolate(batch, size, mode="bilinear", antialias=True)
    return resized[0].numpy()


def fit_to(pixels: Pixels, size: Size) -> Pixels:
    """The largest centred box of the right aspect, resized."""
    height, width = pixels.shape[1:]
    if (height, width) == size:
        return pixels
    # the box comes before the resizing, so that a very long image needs no memory
    rows = min(height, max(1, round(width * size[0] / size[1])))
    columns = min(width, max(1, round(height * size[1] / size[0])))
    top, left = (height - rows) // 2, (width - columns) // 2
    return resize(pixels[:, top : top + rows, left : left + columns], size)
