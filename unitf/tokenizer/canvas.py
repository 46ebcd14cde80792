"""Canvas: a picture for a person, of which the tokens of a sequence are parts."""

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from unitf.features import Features


@dataclass(frozen=True, eq=False)
class Canvas:
    """A picture, and the box in it of each token of one sequence.

    Args:
        pixels: grey values, or 3 colours.
        boxes: left, top, right and bottom of each token, in pixels.
        axes: the names of the horizontal and of the vertical axis.
    """

    pixels: UInt8[np.ndarray, "H W *C"]
    boxes: Float[np.ndarray, "N 4"]
    axes: tuple[str, str] = ("", "")


def as_png(pixels: UInt8[np.ndarray, "H W *C"]) -> bytes:
    """Returns a picture as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def shade(numbers: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Returns numbers as grey values: the lowest hundredth is black, the highest white."""
    low, high = np.percentile(numbers, (1, 99)) if numbers.size else (0.0, 1.0)
    return (255 * np.clip((numbers - low) / max(high - low, 1e-6), 0, 1)).astype(np.uint8)


def ranks(features: Features) -> list[np.ndarray]:
    """Returns for each position axis the rank of each token's position, from 0."""
    positions = features.positions.cpu().numpy()
    # positions that were scaled to a grid of another size are no whole numbers
    return [np.unique(axis.round(4), return_inverse=True)[1].ravel() for axis in positions]


def plain_canvas(features: Features) -> Canvas | None:
    """Draws the numbers of tokens of any modality at their positions.

    Tokens with one position axis are drawn as the columns of F×N, the first number at the bottom.
    Tokens with two axes are drawn as one shade each.

    Returns:
        None for ids, for no tokens and for more than two axes.
    """
    if features.is_ids or features.num_tokens == 0:
        return None
    numbers = features.rows.detach().float().cpu().numpy()
    indices = ranks(features)
    if len(indices) == 1:
        height, left = numbers.shape[1], indices[0]
        line = np.zeros((height, left.max() + 1), np.float32)
        line[:, left] = numbers.T
        return Canvas(shade(line[::-1]), boxes_of(left, 0 * left, 1, height), ("token", "number"))
    if len(indices) == 2:
        top, left = indices
        grid = np.zeros((top.max() + 1, left.max() + 1), np.float32)
        grid[top, left] = numbers.mean(1)
        return Canvas(shade(grid), boxes_of(left, top, 1, 1))
    return None


def boxes_of(
    left: np.ndarray, top: np.ndarray, width: int, height: int
) -> Float[np.ndarray, "N 4"]:
    """Returns boxes of one size: left, top, right and bottom of each."""
    boxes = np.stack([left, top, left + width, top + height], axis=1)
    return boxes.astype(np.float32)
