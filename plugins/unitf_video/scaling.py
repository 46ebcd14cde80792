"""Bringing the frames of a clip to another size."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from unitf import Configurable, UserError
from unitf_video.video_files import Frames

Size = tuple[int, int]  # (rows, columns)


@dataclass(frozen=True)
class Scaling(Configurable):
    """How frames come to a size: they are resized, and their centre is cut out.

    Args:
        to: rows and columns after resizing: at least so many, with their own aspect, or exactly.
        keep_aspect: whether they keep their aspect.
        interpolation: "bilinear" or "bicubic", with antialiasing.
    """

    to: list[int]
    keep_aspect: bool = True
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def __post_init__(self) -> None:
        if len(self.to) != 2 or min(self.to) < 1:
            raise UserError(f"scaling.to: expected rows and columns from 1 on, found {self.to}")

    def __call__(self, frames: Frames, size: Size) -> Frames:
        """The frames in that size."""
        height, width = frames.shape[2:]
        rows, columns = self.to
        if self.keep_aspect:
            # whole numbers first: a ratio would lose the last pixel to rounding
            new, old = max((rows, height), (columns, width), key=lambda pair: pair[0] / pair[1])
            rows, columns = int(height * new / old), int(width * new / old)
        if (rows, columns) != (height, width):
            frames = torch.nn.functional.interpolate(
                torch.from_numpy(np.ascontiguousarray(frames)),
                (rows, columns),
                mode=self.interpolation,
                antialias=True,
            ).numpy()
        top, left = (rows - size[0]) // 2, (columns - size[1]) // 2
        return frames[:, :, top : top + size[0], left : left + size[1]]
