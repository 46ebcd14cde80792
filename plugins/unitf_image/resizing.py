"""Cutting a box out of an image and giving it another size."""

from dataclasses import dataclass
from typing import Literal

import torch

from unitf import Configurable, UserError
from unitf_image.image_files import Pixels

Size = tuple[int, int]  # (rows, columns)
Interpolation = Literal["nearest", "bilinear", "bicubic"]
Rounding = Literal["even", "down"]

_LONGEST = 16  # times as long as wide: what is beyond is cut off before it costs memory


@dataclass(frozen=True)
class Resizing(Configurable):
    """How an image becomes one of a given size, as published models were trained and measured.

    It is resized, and its centred box of that size is cut out.

    Args:
        to: rows and columns after resizing: at least so many, with its own aspect, or exactly.
        keep_aspect: whether it keeps its aspect.
        interpolation: "nearest", or "bilinear" or "bicubic" with antialiasing.
        rounding: where the box begins if an odd number of pixels is cut off: "even" (timm,
            torchvision) or "down" (transformers).
    """

    to: list[int]
    keep_aspect: bool = True
    interpolation: Interpolation = "bilinear"
    rounding: Rounding = "even"

    def __post_init__(self) -> None:
        if len(self.to) != 2 or min(self.to) < 1:
            raise UserError(f"resizing.to: expected rows and columns from 1 on, found {self.to}")

    def __call__(self, pixels: Pixels, size: Size) -> Pixels:
        """The pixels of an image of this size."""
        rows, columns = self.to
        if self.keep_aspect:
            pixels = _shortened(pixels)
            rows, columns = _covering(pixels.shape[1:], (rows, columns))
        pixels = resize(pixels, (rows, columns), self.interpolation)
        return _centre(pixels, size, self.rounding)


def resize(pixels: Pixels, size: Size, interpolation: Interpolation = "bilinear") -> Pixels:
    """An image of another size, with antialiasing; uint8 stays uint8."""
    if pixels.shape[1:] == size:
        return pixels
    if min(pixels.strides) < 0 or not pixels.flags.writeable:  # flipped, or of PIL
        pixels = pixels.copy(order="K")
    batch = torch.from_numpy(pixels)[None]  # as it lies: rows of colours take half the time
    mode = "nearest-exact" if interpolation == "nearest" else interpolation
    smooth = interpolation != "nearest"
    return torch.nn.functional.interpolate(batch, size, mode=mode, antialias=smooth)[0].numpy()


def fit_to(pixels: Pixels, size: Size) -> Pixels:
    """The largest centred box of the right aspect, resized."""
    height, width = pixels.shape[1:]
    if (height, width) == size:
        return pixels
    # the box comes before the resizing, so that a very long image needs no memory
    rows = min(height, max(1, round(width * size[0] / size[1])))
    columns = min(width, max(1, round(height * size[1] / size[0])))
    return resize(_centre(pixels, (rows, columns)), size)


def _centre(pixels: Pixels, size: Size, rounding: Rounding = "down") -> Pixels:
    """The centred box."""
    spare = [found - kept for found, kept in zip(pixels.shape[1:], size, strict=True)]
    top, left = (s // 2 if rounding == "down" else round(s / 2) for s in spare)
    return pixels[:, top : top + size[0], left : left + size[1]]


def _shortened(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[1:]
    return _centre(pixels, (min(height, width * _LONGEST), min(width, height * _LONGEST)))


def _covering(found: Size, least: Size) -> Size:
    """The size of an image that is resized, with its aspect, so as to cover another.

    Rounded as torchvision does for squares and timm for others.
    """
    if least[0] == least[1]:
        shorter = min(found)
        rows, columns = (int(least[0] * side / shorter) for side in found)
    else:
        ratio = min(side / kept for side, kept in zip(found, least, strict=True))
        rows, columns = (round(side / ratio) for side in found)
    return rows, columns
