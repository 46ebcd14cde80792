"""Pictures of spectrograms with the boxes of tokens; time goes right, high bands are above."""

import numpy as np
from einops import rearrange

from unitf import Features
from unitf.tokenizer import Canvas, boxes_of, ranks, shade

AXES = ("frame", "band")


def draw_frames(features: Features, frames_per_token: int) -> Canvas:
    """Draws tokens of one or several frames; the bands of one frame follow those of another."""
    numbers = features.rows.detach().float().cpu().numpy()
    spectrum = rearrange(numbers, "n (k m) -> m (n k)", k=frames_per_token)
    left = np.arange(len(numbers)) * frames_per_token
    boxes = boxes_of(left, 0 * left, frames_per_token, len(spectrum))
    return Canvas(shade(spectrum[::-1]), boxes, AXES)


def draw_patches(features: Features, sides: tuple[int, int], steps: tuple[int, int]) -> Canvas:
    """Draws patches; where they overlap, the later one is visible.

    Args:
        sides: height and length of a patch in bands and frames.
        steps: bands and frames from one patch to the next.
    """
    frame, band = ranks(features)
    bottom, left = band * steps[0], frame * steps[1]
    height, width = bottom.max() + sides[0], left.max() + sides[1]
    spectrum = np.zeros((height, width), np.float32)
    patches = features.rows.detach().float().cpu().numpy().reshape(-1, *sides)
    for patch, low, first in zip(patches, bottom, left, strict=True):
        spectrum[low : low + sides[0], first : first + sides[1]] = patch
    top = height - bottom - sides[0]
    return Canvas(shade(spectrum[::-1]), boxes_of(left, top, sides[1], sides[0]), AXES)
