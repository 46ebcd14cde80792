"""Random changes to a training image; a call of torchvision would cost more.

Random numbers come from Python's global generator, which the loader seeds for every sample. A
number from it costs a twentieth of a number from torch or NumPy.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from unitf import UserError
from unitf.tokenizer import LocatedTarget
from unitf_image.augment_step import ColourStep, Fill, PlacedStep, unmoved
from unitf_image.image_files import Pixels, to_channels
from unitf_image.placement import Placement
from unitf_image.resizing import Size, resize

Range = tuple[float, float] | list[float]


@dataclass(frozen=True)
class ResizedCrop:
    """Cuts out a box of random area and aspect and resizes it (Inception's crop)."""

    moves: ClassVar[bool] = True  # whether the step moves what the image shows
    area: Range = (0.3, 1.0)
    ratio: Range = (3 / 4, 4 / 3)

    def warp(self, pixels: Pixels, size: Size) -> tuple[Pixels, Placement]:
        """Returns the box at a size (rows, columns), and where its pixels come from."""
        _, rows, columns = box = _random_box(pixels, self.area, self.ratio)
        cut = (rows.stop - rows.start, columns.stop - columns.start)
        before = (pixels.shape[1], pixels.shape[2])
        placement = Placement.of_box(rows.start, columns.start, cut, before, size)
        return resize(pixels[box], size), placement


@dataclass(frozen=True)
class Crop(PlacedStep):
    """Shifts the image by up to `padding` pixels in each direction.

    The uncovered part is black ("constant"), repeats the border ("edge") or mirrors the image
    ("reflect").
    """

    padding: int = 4
    mode: Literal["constant", "edge", "reflect"] = "constant"

    def warp(self, pixels: Pixels, fill: Fill) -> tuple[Pixels, Placement]:
        sides = (pixels.shape[1], pixels.shape[2])
        pushes = [random.randint(-self.padding, self.padding) for _ in sides]
        placement = Placement.of_box(pushes[0], pushes[1], sides, sides, sides)
        return self._pushed(pixels, sides, pushes), placement

    def _pushed(self, pixels: Pixels, sides: Size, pushes: Sequence[int]) -> Pixels:
        if self.mode == "constant":
            shown = [
                (max(0, min(n, p)), max(0, min(n, n + p)))
                for n, p in zip(sides, pushes, strict=True)
            ]
            (top, bottom), (left, right) = shown
            pushed = np.zeros_like(pixels)
            pushed[:, sides[0] - bottom : sides[0] - top, sides[1] - right : sides[1] - left] = (
                pixels[:, top:bottom, left:right]
            )
            return pushed
        rows, columns = (
            _outside(np.arange(p, n + p), n, self.mode) for n, p in zip(sides, pushes, strict=True)
        )
        return pixels.take(rows, axis=1).take(columns, axis=2)


def _outside(indices: np.ndarray, length: int, mode: str) -> np.ndarray:
    """Maps indices beyond the ends of an axis to indices within it."""
    if mode == "edge" or length == 1:
        return indices.clip(0, length - 1)
    indices = indices % (2 * length - 2)  # … 2 1 0 1 2 … n-2 n-1 n-2 …
    return np.minimum(indices, 2 * length - 2 - indices)


@dataclass(frozen=True)
class Flip(PlacedStep):
    """Mirrors the image left to right with some probability."""

    probability: float = 0.5

    def warp(self, pixels: Pixels, fill: Fill) -> tuple[Pixels, Placement | None]:
        if random.random() >= self.probability:
            return pixels, None
        return pixels[:, :, ::-1], Placement.flipped((pixels.shape[1], pixels.shape[2]))


@dataclass(frozen=True)
class Erase(ColourStep):
    """Paints a random box in the mean colour with some probability (random erasing)."""

    probability: float = 0.25
    area: Range = (0.02, 1 / 3)
    ratio: Range = (0.3, 1 / 0.3)

    def __call__(self, pixels: Pixels, fill: Fill) -> Pixels:
        if random.random() >= self.probability:
            return pixels
        erased = pixels.copy()
        erased[_random_box(pixels, self.area, self.ratio)] = _colour(fill, pixels)[:, None, None]
        return erased


@dataclass(frozen=True)
class Jitter(ColourStep):
    """Multiplies brightness, contrast and saturation by random factors within 1 ± strength."""

    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.3

    def __call__(self, pixels: Pixels, fill: Fill) -> Pixels:
        changed = pixels.astype(np.float32) * _factor(self.brightness)
        mean = changed.mean()
        changed = mean + (changed - mean) * _factor(self.contrast)
        if len(pixels) == 3:
            grey = to_channels(changed, 1)
            changed = grey + (changed - grey) * _factor(self.saturation)
        return _as(pixels, changed)


@dataclass(frozen=True)
class Affine(PlacedStep):
    """Rotates (degrees), shifts (fraction of the image), scales (1 ± scale) and shears (degrees).

    The uncovered part is black.
    """

    degrees: float = 10.0
    translate: float = 0.1
    scale: float = 0.1
    shear: float = 0.0

    def warp(self, pixels: Pixels, fill: Fill) -> tuple[Pixels, Placement]:
        height, width = sides = (pixels.shape[1], pixels.shape[2])
        angle = math.radians(random.uniform(-self.degrees, self.degrees))
        slant = math.tan(math.radians(random.uniform(-self.shear, self.shear)))
        size = 1 / _factor(self.scale)
        cos, sin = math.cos(angle) * size, math.sin(angle) * size
        right, down = (2 * random.uniform(-1, 1) * self.translate for _ in range(2))
        aspect = height / width  # both axes of `grid_sample` go from -1 to 1
        matrix = torch.tensor(
            [
                [cos, (slant * cos - sin) * aspect, right],
                [sin / aspect, slant * sin + cos, down],
            ]
        )
        batch = torch.from_numpy(pixels.astype(np.float32))[None]
        sources = (_pixel_positions(height, width) @ matrix.mT)[None]
        moved = torch.nn.functional.grid_sample(batch, sources, align_corners=False)
        return _as(pixels, moved[0].numpy()), Placement(_in_pixels(matrix, sides), sides, sides)


# timm's operations that grow with the magnitude, without PosterizeIncreasing: at the upper end it
# asks for 0 bits, which newer versions of PIL refuse
_OPERATIONS = [
    "AutoContrast", "Equalize", "Invert", "Rotate", "PosterizeOriginal", "SolarizeIncreasing",
    "SolarizeAdd", "ColorIncreasing", "ContrastIncreasing", "BrightnessIncreasing",
    "SharpnessIncreasing", "ShearX", "ShearY", "TranslateXRel", "TranslateYRel",
]  # fmt: skip


@dataclass(frozen=True)
class Rand:
    """timm's RandAugment (Cubuk et al., 2020), for grey and colour images of 8 bits."""

    moves: ClassVar[bool] = True
    magnitude: float = 9.0
    num_ops: int = 2
    noise: float = 0.5  # standard deviation of the magnitude
    change: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # not on first use: an import can draw random numbers, and takes seconds
        from timm.data.auto_augment import RandAugment, rand_augment_ops

        settings = {"magnitude_std": self.noise}
        operations = rand_augment_ops(self.magnitude, hparams=settings, transforms=_OPERATIONS)
        object.__setattr__(self, "change", RandAugment(operations, num_layers=self.num_ops))

    def move(
        self, pixels: Pixels, fill: Fill, targets: Sequence[LocatedTarget]
    ) -> tuple[Pixels, list[LocatedTarget]]:
        if targets:
            raise unmoved("randaugment", targets)
        return self(pixels, fill), []

    def __call__(self, pixels: Pixels, fill: Fill) -> Pixels:
        if pixels.dtype != np.uint8 or len(pixels) not in (1, 3):
            raise UserError(
                "augment: randaugment is for grey and colour images of 8 bits, "
                f"found {len(pixels)} channels of {pixels.dtype}"
            )
        colour = np.ascontiguousarray(to_channels(pixels, 3).transpose(1, 2, 0))
        changed = np.asarray(self.change(Image.fromarray(colour))).transpose(2, 0, 1)
        return to_channels(changed, len(pixels))


def _random_box(pixels: Pixels, area: Range, ratio: Range) -> tuple[slice, slice, slice]:
    """Returns a random box within the image: its part of the area and its (log) aspect ratio."""
    height, width = pixels.shape[1:]
    target = height * width * random.uniform(*area)
    sides = math.exp(random.uniform(math.log(ratio[0]), math.log(ratio[1])))
    rows = min(height, max(1, round(math.sqrt(target * sides))))
    columns = min(width, max(1, round(math.sqrt(target / sides))))
    top, left = random.randint(0, height - rows), random.randint(0, width - columns)
    return slice(None), slice(top, top + rows), slice(left, left + columns)


def _factor(strength: float) -> float:
    return 1 + random.uniform(-strength, strength)


def _colour(fill: Fill, pixels: Pixels) -> np.ndarray:
    """Returns the mean colour (C) in the units and the type of `pixels`."""
    return _as(pixels, fill * 255 if pixels.dtype == np.uint8 else fill)


def _as(pixels: Pixels, numbers: np.ndarray) -> np.ndarray:
    """Returns `numbers` in the type of `pixels`."""
    if pixels.dtype == np.uint8:
        return np.rint(numbers).clip(0, 255).astype(np.uint8)
    return numbers.astype(np.float32)


def _in_pixels(matrix: Float[Tensor, "2 3"], size: Size) -> Float[np.ndarray, "2 3"]:
    """Returns a map of coordinates from -1 to 1, as `grid_sample` has them, as one of pixels."""
    half = np.array([size[1], size[0]]) / 2
    turn = matrix[:, :2].double().numpy()
    shift = matrix[:, 2].double().numpy()
    turned = half[:, None] * turn / half
    return np.concatenate([turned, (half * (shift + 1) - turned @ half)[:, None]], axis=1)


@cache
def _pixel_positions(height: int, width: int) -> Float[Tensor, "H W 3"]:
    """Returns (x, y, 1) of each pixel in the coordinates of `grid_sample`."""
    y = (2 * torch.arange(height) + 1) / height - 1
    x = (2 * torch.arange(width) + 1) / width - 1
    return torch.stack(torch.broadcast_tensors(x, y[:, None], torch.ones(())), dim=-1)
