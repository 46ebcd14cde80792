"""Cropping and resizing of images."""

from dataclasses import dataclass
from typing import Literal

import torch

from unitf import Configurable, UserError
from unitf_image.image_files import Pixels

Size = tuple[int, int]  # (rows, columns)
Box = tuple[int | float, int | float, int | float, int | float]  # top, left, rows, columns
Interpolation = Literal["nearest", "bilinear", "bicubic"]
Rounding = Literal["even", "down"]

_LONGEST = 16  # times as long as wide: longer images are cut first, to save memory


@dataclass(frozen=True)
class Resizing(Configurable):
    """Resizes an image and cuts out its centred box, as published models are evaluated.

    Args:
        to: rows and columns after resizing; the least numbers if the image keeps its aspect.
        keep_aspect: whether the image keeps its aspect ratio.
        interpolation: "nearest", or "bilinear" or "bicubic" with antialiasing.
        rounding: how the start of the box is rounded if an odd number of pixels is cut: "even"
            (timm, torchvision) or "down" (transformers).
    """

    to: list[int]
    keep_aspect: bool = True
    interpolation: Interpolation = "bilinear"
    rounding: Rounding = "even"

    def __post_init__(self) -> None:
        if len(self.to) != 2 or min(self.to) < 1:
            raise UserError(f"resizing.to: expected rows and columns from 1 on, found {self.to}")

    def __call__(self, pixels: Pixels, size: Size) -> Pixels:
        """Returns the pixels of the image at the size (rows, columns)."""
        rows, columns = self.to
        if self.keep_aspect:
            pixels = _shortened(pixels)
            rows, columns = _covering(pixels.shape[1:], (rows, columns))
        pixels = resize(pixels, (rows, columns), self.interpolation)
        return _centre(pixels, size, self.rounding)

    def box(self, before: Size, size: Size) -> Box:
        """Returns the part of an image of size `before` that is shown at `size`."""
        left_over = _shorter(before) if self.keep_aspect else before
        top, left = _corner(before, left_over, "down")
        rows, columns = self.to
        if self.keep_aspect:
            rows, columns = _covering(left_over, (rows, columns))
        down, right = left_over[0] / rows, left_over[1] / columns
        above, beside = _corner((rows, columns), size, self.rounding)
        return top + above * down, left + beside * right, size[0] * down, size[1] * right


def resize(pixels: Pixels, size: Size, interpolation: Interpolation = "bilinear") -> Pixels:
    """Resizes an image, with antialiasing; uint8 stays uint8."""
    if pixels.shape[1:] == size:
        return pixels
    if min(pixels.strides) < 0 or not pixels.flags.writeable:  # flipped, or from PIL
        pixels = pixels.copy(order="K")
    # the memory layout is kept: interleaved colours take half the time
    batch = torch.from_numpy(pixels)[None]
    mode = "nearest-exact" if interpolation == "nearest" else interpolation
    smooth = interpolation != "nearest"
    return torch.nn.functional.interpolate(batch, size, mode=mode, antialias=smooth)[0].numpy()


def fit_to(pixels: Pixels, size: Size) -> Pixels:
    """Resizes the largest centred box that has the aspect of `size`."""
    before = (pixels.shape[1], pixels.shape[2])
    if before == size:
        return pixels
    # the box is cut before resizing, so that a very long image needs little memory
    return resize(_centre(pixels, _largest(before, size)), size)


def fitted_box(before: Size, size: Size) -> Box:
    """Returns the part of an image of size `before` that `fit_to` shows."""
    largest = _largest(before, size)
    return *_corner(before, largest, "down"), *largest


def _largest(before: Size, size: Size) -> Size:
    """Returns the largest size within `before` that has the aspect of `size`."""
    height, width = before
    rows = min(height, max(1, round(width * size[0] / size[1])))
    columns = min(width, max(1, round(height * size[1] / size[0])))
    return rows, columns


def _centre(pixels: Pixels, size: Size, rounding: Rounding = "down") -> Pixels:
    """Cuts out the centred box."""
    top, left = _corner((pixels.shape[1], pixels.shape[2]), size, rounding)
    return pixels[:, top : top + size[0], left : left + size[1]]


def _corner(before: Size, size: Size, rounding: Rounding) -> Size:
    """Returns the first row and column of the centred box of a size."""
    spare = [side - wanted for side, wanted in zip(before, size, strict=True)]
    top, left = (s // 2 if rounding == "down" else round(s / 2) for s in spare)
    return top, left


def _shortened(pixels: Pixels) -> Pixels:
    return _centre(pixels, _shorter((pixels.shape[1], pixels.shape[2])))


def _shorter(size: Size) -> Size:
    height, width = size
    return min(height, width * _LONGEST), min(width, height * _LONGEST)


def _covering(size: Size, least: Size) -> Size:
    """Returns the size of an image that is resized to cover `least` and keeps its aspect.

    Squares are rounded as in torchvision, other sizes as in timm.
    """
    if least[0] == least[1]:
        shorter = min(size)
        rows, columns = (int(least[0] * side / shorter) for side in size)
    else:
        ratio = min(side / wanted for side, wanted in zip(size, least, strict=True))
        rows, columns = (round(side / ratio) for side in size)
    return rows, columns
