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
    """Resizes frames and cuts out their centre.

    Args:
        to: rows and columns after resizing; the least numbers if frames keep their aspect.
        keep_aspect: whether frames keep their aspect ratio.
        interpolation: "bilinear" or "bicubic", with antialiasing.
    """

    to: list[int]
    keep_aspect: bool = True
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def __post_init__(self) -> None:
        if len(self.to) != 2 or min(self.to) < 1:
            raise UserError(f"scaling.to: expected rows and columns from 1 on, found {self.to}")

    def __call__(self, frames: Frames, size: Size) -> Frames:
        """Returns the frames at the size (rows, columns)."""
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
