"""Makes a small picture of an image, for a page."""

import io

import numpy as np
from PIL import Image

from unitf.tokenizer import Media
from unitf_image.image_files import Pixels

_SIDE = 240  # the longest side of a picture, in pixels
_SMALL = 96  # smaller images are enlarged, so that each pixel is a square


def shown_image(pixels: Pixels) -> Media:
    """Returns an image as PNG if it is small or has alpha, else as JPEG.

    Args:
        pixels: C×H×W; of more than four channels the first is shown.
    """
    image = _as_image(pixels)
    zoom = _SMALL // max(image.size)
    if zoom > 1:
        size = (image.width * zoom, image.height * zoom)
        image = image.resize(size, Image.Resampling.NEAREST)
    image.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    kind = "PNG" if zoom > 1 or image.mode == "RGBA" else "JPEG"
    image.save(buffer, format=kind, quality=85)
    return Media(buffer.getvalue(), f"image/{kind.lower()}")


def _as_image(pixels: Pixels) -> Image.Image:
    if pixels.dtype != np.uint8:
        pixels = (np.clip(pixels, 0, 1) * 255).round().astype(np.uint8)
    if len(pixels) in (3, 4):
        return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return Image.fromarray(np.ascontiguousarray(pixels[0]))
