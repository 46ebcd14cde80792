"""ImagePatches: an image as patches."""

import math
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unitf import Column, Features, Proposal, Tokenizer, UserError
from unitf.tokenizer import Canvas, LocatedTarget, Media, PositionEmbeddingName, as_png
from unitf_image.augment import Settings, make_steps
from unitf_image.ground import Ground, on_ground
from unitf_image.image_files import Pixels, read_image
from unitf_image.patch_grid import Coordinates, grid_positions, patch_canvas, to_grid, whole_patches
from unitf_image.placement import Placement
from unitf_image.recognised_images import propose_patches
from unitf_image.resizing import Resizing, Size, fit_to, fitted_box
from unitf_image.rows import from_rows, to_rows
from unitf_image.settings import Pair, pair, per_channel, whole_number
from unitf_image.shown_image import shown_image
from unitf_image.stem import ConvolutionalStem

_NUM_FITTED = 512  # images from which mean, deviation and grid are learned …
_NUM_PIXELS = 4096  # … and about the pixels of each
_ON_GRID = ("interpolated", "cubic")  # schemes that map images of any size onto one grid


class ImagePatches(Tokenizer):
    """An image as non-overlapping patches, row by row; positions are (row, column) of the patch.

    The F numbers of a patch are in the order (channel, row, column), as in the weights of a
    convolution. If a side is no multiple of the patch, the image is padded right and below with the
    mean colour, or cut there (`cut`).

    Args:
        dim: D, the width of a token.
        patch: rows and columns of a patch, in pixels.
        size: rows and columns to which an image is resized; None: each image keeps its own size.
        resizing: how an image is resized; None: the largest centred box of that aspect, bilinear.
        ground: "dark" inverts an image whose border is bright, "light" one whose border is dark, so
            that drawings in black on white and in white on black are read alike; None: neither.
        channels: the number of channels of the converted image: 1 grey, 3 colour, 4 with alpha,
            or the number that it already has.
        position_embedding: "sinusoidal" (over row and column), "learned" (a vector for each patch
            of `size`), "interpolated" (learned on a grid of patches, onto which the patches of
            an image of any other size are mapped) or "cubic" (likewise, by cubic interpolation),
            or "none", which goes with rotary positions.
        grid: rows and columns of patches of "interpolated" positions; None: those of `size`, or
            the median of the training images.
        coordinates: the coordinates that relative (rotary) positions use instead of (row, column).
        mean: the mean of each channel, where 1 is white; None: learned from training images.
        std: the standard deviation of each channel; None: learned from training images.
        overlap: the pixels by which the window of a patch overlaps its neighbours on each side.
        stem: "linear" projects each window to a token; "convolution" applies a few convolutions
            to the whole image, learns more from few images, and needs `overlap` 0.
        augment: names and settings of changes to a training image, see `unitf_image.augment`.
        max_tokens: the largest number of patches of an image.
        cut: whether an image is cut after its last whole patch, as by a convolution.
        bias: whether the linear stem has a bias.
        options: further options of Tokenizer (`prefix`).
    """

    num_axes: ClassVar[int] = 2

    def __init__(
        self,
        dim: int,
        patch: Pair = 4,
        size: Pair | None = None,
        resizing: Resizing | None = None,
        channels: int = 3,
        position_embedding: PositionEmbeddingName = "sinusoidal",
        grid: Pair | None = None,
        coordinates: Coordinates | None = None,
        mean: float | list[float] | None = None,
        std: float | list[float] | None = None,
        overlap: int = 0,
        stem: Literal["linear", "convolution"] = "linear",
        augment: Settings | None = None,
        max_tokens: int | None = None,
        bias: bool = True,
        cut: bool = False,
        ground: Ground | None = None,
        **options: Any,
    ) -> None:
        super().__init__(dim, position_embedding, max_tokens, **options)
        self.patch = pair("patch", patch)
        self.size = None if size is None else pair("size", size)
        self.resizing = resizing
        self.grid = None if grid is None else pair("grid", grid)
        self.coordinates = coordinates
        self.channels = whole_number("channels", channels, 1)
        self.overlap = whole_number("overlap", overlap, 0)
        self.moments = {
            "mean": per_channel("mean", mean, channels),
            "std": per_channel("std", std, channels),
        }
        self.resized_crop, self.steps = make_steps(augment or {})
        self.moves = self.resized_crop is not None or any(step.moves for step in self.steps)
        self.stem = stem
        self.projection_bias = bias
        self.cut = cut
        self.ground: Ground | None = ground
        if resizing is not None and (
            self.size is None or min(a - b for a, b in zip(resizing.to, self.size, strict=True)) < 0
        ):
            raise UserError(f"resizing to {resizing.to} needs a size within, found {size}")
        if stem == "convolution" and overlap:
            raise UserError(
                f"stem 'convolution' sees the whole image: overlap must be 0: {overlap}"
            )
        self.window = (self.patch[0] + 2 * overlap, self.patch[1] + 2 * overlap)
        self.num_features = channels * math.prod(self.window)
        self._constants: tuple[Any, np.ndarray, np.ndarray] | None = None

    @classmethod
    def recognise(cls, column: Column) -> Proposal | None:
        """Recognises a column of images."""
        return propose_patches(column)

    # ---- learned before training -------------------------------------------------------

    def fit(self, values: Iterable[object]) -> None:
        """Learns mean and deviation of each channel, and the median grid, from 512 of the images.

        An image that cannot be read is skipped; training reports it.
        """
        needs_grid = self.position_scheme in _ON_GRID and not (self.grid or self.size)
        if None not in self.moments.values() and not needs_grid:
            return
        colours, grids, problem = [], [], "no values"
        for value in _sample(values):
            try:
                pixels, _ = self._read(value)
            except UserError as error:
                problem = error
                continue
            flat = pixels.reshape(self.channels, -1)
            # an odd step, so that the pixels are not all of one column
            flat = flat[:, :: flat.shape[1] // _NUM_PIXELS | 1]
            colours.append(flat / np.float32(255) if pixels.dtype == np.uint8 else flat)
            grids.append(self._grid_of(pixels))
        if not colours:
            raise UserError(f"{type(self).__name__} learns from images, found none: {problem}")
        colour = np.concatenate(colours, axis=1)
        self.fitted = {
            "mean": colour.mean(1, dtype=np.float64).tolist(),
            "std": colour.std(1, dtype=np.float64).tolist(),
            "grid": np.median(grids, axis=0).round().astype(int).tolist(),
        }

    @property
    def reference_grid(self) -> tuple[int, int] | None:
        """Rows and columns of patches for which positions are learned."""
        if self.grid is not None:
            return self.grid
        if self.size is not None:
            size = whole_patches(self.size, self.patch) if self.cut else self.size
            return to_grid(size, self.patch)
        if self.position_scheme in _ON_GRID and "grid" in self.fitted:
            return tuple(self.fitted["grid"])
        return None

    @property
    def position_shape(self) -> tuple[int, ...] | None:
        if self.reference_grid is None:
            raise UserError(
                f"{type(self).__name__}: position_embedding {self.position_scheme!r} "
                "needs size or grid"
            )
        return self.reference_grid

    def make_parameters(self, unembed: bool = False) -> None:
        super().make_parameters(unembed)
        if self.stem == "convolution":
            self.embedding = ConvolutionalStem(self.channels, self.patch, self.dim)

    def embed(self, features: Features) -> Float[Tensor, "D N"]:
        """Turns features into columns with the stem."""
        if isinstance(self.embedding, ConvolutionalStem):
            return self.embedding(features).mT
        return super().embed(features)

    def positions_of(self, features: Features) -> Float[Tensor, "2 N"]:
        if self.coordinates is None:
            return features.positions
        laid = self.position_scheme in _ON_GRID
        return self.coordinates.of(features, self.reference_grid if laid else None)

    # ---- raw values and features -------------------------------------------------------

    def encode(self, value: object, train: bool = False) -> Features:
        """Encodes an image (file, bytes, PIL image, array or tensor) as F×N, one column a patch."""
        return self.encode_located(value, [], train)[0]

    def encode_located(
        self, value: object, targets: Sequence[LocatedTarget], train: bool = False
    ) -> tuple[Features, list[LocatedTarget]]:
        """Encodes an image, and moves boxes, points and masks of it as the image is moved."""
        pixels, moved = self._read(value, targets, crop=train)
        if train:
            mean = self._normalisation()[0]
            for step in self.steps:
                pixels, moved = step.move(pixels, mean, moved)
        return self._patches(pixels), moved

    def _patches(self, pixels: Pixels) -> Features:
        mean, std = self._normalisation()
        grid = self._grid_of(pixels)
        white = np.float32(255 if pixels.dtype == np.uint8 else 1)
        # contiguous, otherwise 3 times slower
        normal = np.ascontiguousarray(pixels) / (white * std)[:, None, None]
        normal -= (mean / std)[:, None, None]
        rows = to_rows(normal, self.patch, self.overlap)
        reference = self.position_shape if self.position_scheme in _ON_GRID else None
        if self.position_scheme == "learned":
            self._check_grid(grid)
        return Features(torch.from_numpy(rows).mT, grid_positions(grid, reference))

    def decode(self, features: Features) -> np.ndarray:
        """Returns the image, uint8, of whole patches: (H, W) if grey, else (H, W, C)."""
        if features.num_tokens == 0:
            raise UserError("an image of no patches cannot be decoded")
        rows = features.rows.detach().float().cpu().numpy()
        positions = features.positions.cpu().numpy()
        if self.position_scheme in _ON_GRID:  # back from the reference grid
            positions = np.stack([np.unique(axis, return_inverse=True)[1] for axis in positions])
        normal = from_rows(rows, positions.round().astype(int), self.patch, self.overlap)
        mean, std = self._normalisation()
        pixels = (normal * std[:, None, None] + mean[:, None, None]) * 255
        image = np.nan_to_num(pixels).round().clip(0, 255).astype(np.uint8)
        return image[0] if self.channels == 1 else image.transpose(1, 2, 0)

    def show(self, value: object) -> Media:
        """Returns a small picture of an image, in its own colours."""
        return shown_image(read_image(value, 3 if self.channels in (1, 3, 4) else self.channels))

    def to_file(self, value: np.ndarray) -> tuple[str, bytes]:
        """Returns an image as PNG."""
        return ".png", as_png(value)

    def canvas(self, features: Features) -> Canvas:
        return patch_canvas(self.decode(features), features, self.patch)

    @staticmethod
    def examples() -> list[object]:
        """Returns raw values of several kinds for the checks of plugins."""
        random = np.random.default_rng(0)
        colour = random.integers(0, 256, (16, 24, 3), dtype=np.uint8)
        return [
            colour,
            random.integers(0, 256, (8, 8), dtype=np.uint8),
            random.random((13, 9, 3), dtype=np.float32),
            torch.from_numpy(colour[:5]).permute(2, 0, 1),
            np.zeros((1, 1), np.uint8),
        ]

    def _read(
        self, value: object, targets: Sequence[LocatedTarget] = (), crop: bool = False
    ) -> tuple[Pixels, list[LocatedTarget]]:
        """Returns the image at the size that is encoded, and what is located in it."""
        pixels = read_image(value, self.channels)
        if self.ground is not None:
            pixels = on_ground(pixels, self.ground)
        before, placement = (pixels.shape[1], pixels.shape[2]), None
        if crop and self.resized_crop is not None:
            pixels, placement = self.resized_crop.warp(pixels, self.size or before)
        elif self.size is not None:
            if targets:
                box = (self.resizing.box if self.resizing else fitted_box)(before, self.size)
                placement = Placement.of_box(*box[:2], box[2:], before, self.size)
            pixels = (self.resizing or fit_to)(pixels, self.size)
        moved = list(targets) if placement is None else [placement.move(t) for t in targets]
        after = (pixels.shape[1], pixels.shape[2])
        rows, columns = whole_patches(after, self.patch) if self.cut else after
        if targets and (rows, columns) != after:
            part = Placement.of_box(0, 0, (rows, columns), after, (rows, columns))
            moved = [part.move(target) for target in moved]
        return pixels[:, :rows, :columns], moved

    def _grid_of(self, pixels: Pixels) -> tuple[int, int]:
        return to_grid(pixels.shape[1:], self.patch)

    def _check_grid(self, grid: Size) -> None:
        most = self.position_shape
        assert most is not None  # otherwise there are no learned positions
        if any(count > limit for count, limit in zip(grid, most, strict=True)):
            raise UserError(
                f"an image of {'×'.join(map(str, grid))} patches, expected at most "
                f"{'×'.join(map(str, most))} (position_embedding 'interpolated' takes any number)"
            )

    def _normalisation(self) -> tuple[Float[np.ndarray, " C"], Float[np.ndarray, " C"]]:
        """Returns mean and deviation of each channel, where 1 is white."""
        if self._constants is None or self._constants[0] is not self.fitted:
            unfitted = [0.5] * self.channels
            mean, std = (
                np.array(self.moments[name] or self.fitted.get(name, unfitted), np.float32)
                for name in ("mean", "std")
            )
            if self.moments["std"] is None:
                std[std < 1e-3] = 1.0  # a channel that is always the same
            self._constants = (self.fitted, mean, std)
        return self._constants[1:]


def _sample(values: Iterable[object]) -> list[object]:
    """Returns a uniform sample of the values, the same in every call."""
    random, sample = Random(0), []
    for number, value in enumerate(values):
        if number < _NUM_FITTED:
            sample.append(value)
        elif (index := random.randrange(number + 1)) < _NUM_FITTED:
            sample[index] = value
    return sample
