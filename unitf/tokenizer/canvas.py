"""Canvas: the picture that tokens are parts of, for a person to look at."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from unitf.tokens import Features


@dataclass(frozen=True, eq=False)
class Canvas:
    """A picture, and where in it the tokens of one sequence lie."""

    pixels: UInt8[np.ndarray, "H W *C"]  # grey, or of 3 colours
    boxes: Float[np.ndarray, "N 4"]  # left, top, right, bottom of each token, in pixels
    axes: tuple[str, str] = ("", "")  # what goes to the right, and what upwards


def shade(numbers: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Numbers as grey values: the lowest hundredth is black, the highest white."""
    low, high = np.percentile(numbers, (1, 99)) if numbers.size else (0.0, 1.0)
    return (255 * np.clip((numbers - low) / max(high - low, 1e-6), 0, 1)).astype(np.uint8)


def ranks(features: Features) -> list[np.ndarray]:
    """Along each axis the whole number of the place where a token stands, from 0."""
    indices = features.positions.cpu().numpy()
    # laid on a grid of another size, places are no whole numbers
    return [np.unique(axis.round(4), return_inverse=True)[1].ravel() for axis in indices]


def plain_canvas(features: Features) -> Canvas | None:
    """What can be drawn of tokens of any modality: their numbers, where they stand; None of ids.

    Tokens in a line are the columns of F×N, the first number below; on a grid each is one shade.
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
    """Boxes of one size, by their corners."""
    boxes = np.stack([left, top, left + width, top + height], axis=1)
    return boxes.astype(np.float32)
