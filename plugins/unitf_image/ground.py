"""The ground of a drawing: dark, with bright strokes, or light, with dark ones."""

from typing import Literal

import numpy as np

from unitf_image.image_files import Pixels

Ground = Literal["dark", "light"]


def on_ground(pixels: Pixels, ground: Ground) -> Pixels:
    """Returns a drawing on the given ground: inverted if its ground is the other one.

    The ground of a drawing is the median of its border: bright if it lies above the middle between
    the darkest and the brightest pixel. An image of one colour stays as it is.
    """
    grey = pixels.mean(0)
    border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    darkest, brightest = float(grey.min()), float(grey.max())
    if darkest == brightest:
        return pixels
    is_light = float(np.median(border)) > (darkest + brightest) / 2
    if is_light == (ground == "light"):
        return pixels
    return np.uint8(255) - pixels if pixels.dtype == np.uint8 else np.float32(1) - pixels
