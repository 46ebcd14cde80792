"""Draws predictions about the parts of a picture: boxes with labels, and masks."""

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from unitf.tokenizer.canvas import Canvas, as_png

_COLOURS = (
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189),
    (140, 86, 75), (227, 119, 194), (188, 189, 34), (23, 190, 207), (127, 127, 127),
)  # fmt: skip

MISSED: int = -1  # the kind of a box that was not found
_WHITE = (255, 255, 255)


def with_boxes(
    pixels: UInt8[np.ndarray, "H W *C"],
    boxes: Sequence[Sequence[float]],
    labels: Sequence[str],
    kinds: Sequence[int],
) -> bytes:
    """Returns a picture with boxes as PNG.

    Args:
        pixels: the picture.
        boxes: left, top, right and bottom of each box, as fractions of the picture.
        labels: what is written at each box.
        kinds: the number of the class of each box, which has a colour of its own; MISSED is white.
    """
    from PIL import Image, ImageDraw

    image = Image.fromarray(pixels).convert("RGB")
    scale = max(1, 256 // max(image.size))  # of a small picture, so that the words can be read
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(image)
    for (left, top, right, bottom), label, kind in zip(boxes, labels, kinds, strict=True):
        colour = _WHITE if kind == MISSED else _COLOURS[kind % len(_COLOURS)]
        corner = (left * image.width, top * image.height)
        far = (max(corner[0], right * image.width - 1), max(corner[1], bottom * image.height - 1))
        draw.rectangle([corner, far], outline=colour, width=2)
        draw.text((corner[0] + 3, corner[1] + 2), label, fill=colour)
    return as_png(np.asarray(image))


def mask(canvas: Canvas, classes: Sequence[int]) -> bytes:
    """Returns a mask as PNG with a palette: each pixel is the number of the class of its token."""
    from PIL import Image

    numbers = np.zeros(canvas.pixels.shape[:2], np.uint8)
    for (left, top, right, bottom), number in zip(canvas.boxes.round(), classes, strict=True):
        numbers[int(top) : int(bottom), int(left) : int(right)] = number
    image = Image.fromarray(numbers)
    image.putpalette([part for colour in ((0, 0, 0), *_COLOURS) for part in colour])
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
