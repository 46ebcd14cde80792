"""VideoTubelets: a clip as blocks of pixels over several frames."""

import io
import math
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from unitf import Column, Features, Proposal, Tokenizer, UserError
from unitf.tokenizer import Canvas, Media, boxes_of, ranks
from unitf_video.recognised_clips import propose_tubelets
from unitf_video.scaling import Scaling
from unitf_video.shown_video import shown_video
from unitf_video.video_files import Frames, read_clip

Pair = int | tuple[int, int] | list[int]  # for both axes, or (rows, columns); YAML has no tuple
Grid = tuple[int, int, int]  # (frames, rows, columns), in tubelets
Scheme = Literal["sinusoidal", "learned", "interpolated", "cubic", "flat", "none"]

_NUM_FITTED = 64  # clips from which mean and deviation are learned


class VideoTubelets(Tokenizer):
    """A clip as tubelets (patches over several frames) with positions (frame, row, column).

    The F numbers of a tubelet are in the order (channel, frame, row, column), as in the weights of
    a convolution. If the length of a clip is no multiple of a tubelet's, the last frame is
    repeated; if a side is none, the clip is padded right and below with the mean colour.

    Args:
        dim: D, the width of a token.
        patch: rows and columns of a tubelet, in pixels.
        tubelet: frames of a tubelet.
        num_frames: the number of frames taken from a clip, evenly spaced; None: all.
        size: rows and columns of a frame; None: each clip keeps its own.
        scaling: how frames are brought to that size; None: they cover it, and their centre is
            cut out.
        channels: 1 grey, 3 colour.
        position_embedding: "sinusoidal" (over the three axes), "learned" (a vector for each grid
            cell), "interpolated" or "cubic" (likewise, and clips of any size are mapped onto the
            grid), "flat" (fixed sines and cosines of the index of a tubelet, as in VideoMAE), or
            "none". All but "sinusoidal" and "none" need `num_frames` and `size`.
        mean: the mean of each channel, where 1 is white; None: learned from training clips.
        std: the standard deviation of each channel; None: learned from training clips.
        max_tokens: the largest number of tubelets of a clip.
        options: further options of Tokenizer (`prefix`).
    """

    num_axes: ClassVar[int] = 3

    def __init__(
        self,
        dim: int,
        patch: Pair = 16,
        tubelet: int = 2,
        num_frames: int | None = None,
        size: Pair | None = None,
        scaling: Scaling | None = None,
        channels: int = 3,
        position_embedding: Scheme = "sinusoidal",
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        max_tokens: int | None = None,
        **options: Any,
    ) -> None:
        scheme: Any = "none" if position_embedding == "flat" else position_embedding
        super().__init__(dim, scheme, max_tokens, **options)
        self.flat = position_embedding == "flat"
        self.patch = _pair("patch", patch)
        self.size = None if size is None else _pair("size", size)
        for name, value in (("tubelet", tubelet), ("num_frames", num_frames)):
            if value is not None and value < 1:
                raise UserError(f"{name}: expected a whole number from 1 on, found {value}")
        self.tubelet, self.num_frames = tubelet, num_frames
        if scaling is not None and (
            self.size is None or min(a - b for a, b in zip(scaling.to, self.size, strict=True)) < 0
        ):
            raise UserError(f"scaling to {scaling.to} needs a size within, found {size}")
        self.scaling = scaling or (None if self.size is None else Scaling(list(self.size)))
        if channels not in (1, 3):
            raise UserError(f"channels: expected 1 or 3, found {channels}")
        self.channels = channels
        self.moments = {"mean": _each("mean", mean, channels), "std": _each("std", std, channels)}
        self.num_features = channels * tubelet * math.prod(self.patch)

    @classmethod
    def recognise(cls, column: Column) -> Proposal | None:
        """Recognises the files of videos; it needs `pip install 'unitf[video]'`."""
        return propose_tubelets(column)

    # ---- learned before training -------------------------------------------------------

    def fit(self, values: Iterable[object]) -> None:
        """Learns mean and deviation of each channel from 64 of the clips.

        A clip that cannot be read is skipped; training reports it.
        """
        if None not in self.moments.values():
            return
        colours: list[np.ndarray] = []
        problem: object = "no values"
        for value in islice(values, _NUM_FITTED):
            try:
                frames = self._read(value)
            except UserError as error:
                problem = error
                continue
            flat = _as_floats(frames[:: len(frames) // 4 + 1]).transpose(1, 0, 2, 3)
            colours.append(flat.reshape(self.channels, -1))
        if not colours:
            raise UserError(f"{type(self).__name__} learns from clips, found none: {problem}")
        colour = np.concatenate(colours, axis=1)
        self.fitted = {
            "mean": colour.mean(1, dtype=np.float64).tolist(),
            "std": colour.std(1, dtype=np.float64).tolist(),
        }

    @property
    def position_shape(self) -> tuple[int, ...] | None:
        if self.num_frames is None or self.size is None:
            raise UserError(f"{type(self).__name__}: these positions need num_frames and size")
        return to_grid((self.num_frames, *self.size), (self.tubelet, *self.patch))

    def make_positions(self) -> nn.Module | None:
        if not self.flat:
            return super().make_positions()
        shape = self.position_shape
        assert shape is not None
        return FlatSinusoids(self.dim, shape)

    # ---- raw values and features -------------------------------------------------------

    def encode(self, value: object, train: bool = False) -> Features:
        """Encodes a clip (video file, bytes, list of frames, array or tensor) as F×N."""
        frames = self._read(value)
        mean, std = self._normalisation()
        normal = (_as_floats(frames) - mean[:, None, None]) / std[:, None, None]
        rows, grid = to_rows(normal, (self.tubelet, *self.patch))
        positions = torch.stack(
            torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in grid), indexing="ij")
        )
        if self.position_scheme in ("interpolated", "cubic"):
            shape = self.position_shape
            assert shape is not None
            ratios = [to / n for to, n in zip(shape, grid, strict=True)]
            positions = (positions + 0.5) * torch.tensor(ratios)[:, None, None, None] - 0.5
        return Features(torch.from_numpy(rows).mT, positions.flatten(1))

    def decode(self, features: Features) -> np.ndarray:
        """Returns the clip, uint8, of whole tubelets: (T, H, W) if grey, else (T, H, W, C)."""
        if features.num_tokens == 0:
            raise UserError("a clip of no tubelets cannot be decoded")
        rows = features.rows.detach().float().cpu().numpy()
        positions = [
            np.unique(axis.round(decimals=4), return_inverse=True)[1].ravel()
            for axis in features.positions.cpu().numpy()
        ]
        mean, std = self._normalisation()
        normal = from_rows(rows, positions, (self.channels, self.tubelet, *self.patch))
        pixels = (normal * std[:, None, None] + mean[:, None, None]) * 255
        clip = np.nan_to_num(pixels).round().clip(0, 255).astype(np.uint8)
        return clip[:, 0] if self.channels == 1 else clip.transpose(0, 2, 3, 1)

    def show(self, value: object) -> Media:
        """Returns a small moving picture of a clip."""
        return shown_video(read_clip(value, self.channels, self.num_frames))

    def to_file(self, value: np.ndarray) -> tuple[str, bytes]:
        """Returns a clip as a moving GIF of ten frames a second."""
        first, *others = [Image.fromarray(frame) for frame in value]
        buffer = io.BytesIO()
        first.save(buffer, format="GIF", save_all=True, append_images=others, duration=100, loop=0)
        return ".gif", buffer.getvalue()

    def canvas(self, features: Features) -> Canvas:
        """Returns a picture of the first frame of each tubelet, side by side."""
        clip = self.decode(features)[:: self.tubelet]
        strip = np.concatenate(list(clip), axis=1)
        (frame, row, column), (height, width) = ranks(features), self.patch
        left = frame * clip.shape[2] + column * width
        return Canvas(strip, boxes_of(left, row * height, width, height), ("frame", ""))

    @staticmethod
    def examples() -> list[object]:
        """Returns raw values of several kinds for the checks of plugins."""
        random = np.random.default_rng(0)
        colour = random.integers(0, 256, (4, 32, 48, 3), dtype=np.uint8)
        return [
            colour,
            random.integers(0, 256, (3, 16, 16), dtype=np.uint8),
            random.random((1, 20, 9, 3), dtype=np.float32),
            torch.from_numpy(colour[:2, :5]).permute(0, 3, 1, 2),
            list(colour),
        ]

    def _read(self, value: object) -> Frames:
        frames = read_clip(value, self.channels, self.num_frames)
        if self.scaling is None or self.size is None:
            return frames
        return self.scaling(frames, self.size)

    def _normalisation(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and deviation of each channel, where 1 is white."""
        unfitted = [0.5] * self.channels
        mean, std = (
            np.array(self.moments[name] or self.fitted.get(name, unfitted), np.float32)
            for name in ("mean", "std")
        )
        return mean, np.where(std < 1e-3, np.float32(1), std)


class FlatSinusoids(nn.Module):
    """Fixed sines and cosines of the index of a grid cell (VideoMAE)."""

    table: Tensor

    def __init__(self, dim: int, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        positions = np.arange(math.prod(shape), dtype=np.float64)[:, None]
        angles = positions / np.power(10_000, 2 * (np.arange(dim) // 2) / dim)
        waves = np.where(np.arange(dim) % 2 == 0, np.sin(angles), np.cos(angles))
        self.register_buffer("table", torch.from_numpy(waves.astype(np.float32)), persistent=False)

    def forward(self, positions: Float[Tensor, "P N"]) -> Float[Tensor, "N D"]:
        index = torch.zeros_like(positions[0], dtype=torch.long)
        for axis, size in zip(positions, self.shape, strict=True):
            index = index * size + axis.long().clamp(0, size - 1)
        return self.table[index]


def to_grid(size: Sequence[int], tubelet: Sequence[int]) -> Grid:
    """Returns how many tubelets cover a clip along each axis."""
    frames, rows, columns = (-(-side // t) for side, t in zip(size, tubelet, strict=True))
    return frames, rows, columns


def to_rows(clip: Float[np.ndarray, "T C H W"], tubelet: Grid) -> tuple[np.ndarray, Grid]:
    """Returns the tubelets (N, F) of a clip, padded with zeros, and their grid."""
    frames, channels, *sides = clip.shape
    grid = to_grid((frames, *sides), tubelet)
    spare = [g * t - n for g, t, n in zip(grid, tubelet, (frames, *sides), strict=True)]
    if spare[0]:
        clip = np.concatenate([clip, np.repeat(clip[-1:], spare[0], axis=0)])
    clip = np.pad(clip, [(0, 0), (0, 0), (0, spare[1]), (0, spare[2])])
    (t, r, c), (dt, dr, dc) = grid, tubelet
    cells = clip.reshape(t, dt, channels, r, dr, c, dc).transpose(0, 3, 5, 2, 1, 4, 6)
    return np.ascontiguousarray(cells.reshape(t * r * c, -1), dtype=np.float32), grid


def from_rows(
    rows: Float[np.ndarray, "N F"],
    positions: Sequence[np.ndarray],
    shape: tuple[int, int, int, int],
) -> Float[np.ndarray, "T C H W"]:
    """Returns the clip of tubelets of this shape (channels, frames, rows, columns)."""
    channels, dt, dr, dc = shape
    t, r, c = (int(axis.max()) + 1 for axis in positions)
    canvas = np.zeros((t, r, c, channels, dt, dr, dc), np.float32)
    canvas[tuple(positions)] = rows.reshape(-1, *shape)
    cells = canvas.transpose(0, 4, 3, 1, 5, 2, 6)
    return cells.reshape(t * dt, channels, r * dr, c * dc)


def _as_floats(frames: Frames) -> np.ndarray:
    """Returns the frames as float32, where 1 is white."""
    return frames.astype(np.float32) / np.float32(255 if frames.dtype == np.uint8 else 1)


def _pair(name: str, value: Pair) -> tuple[int, int]:
    both = (value, value) if isinstance(value, int) else tuple(value)
    if len(both) != 2 or min(both) < 1:
        raise UserError(f"{name}: expected whole numbers from 1 on, one or two, found {value}")
    return both


def _each(name: str, value: float | Sequence[float] | None, channels: int) -> list[float] | None:
    """Returns a number for each channel; None: it is learned."""
    if value is None:
        return None
    numbers = list(value) if isinstance(value, Sequence) else [float(value)] * channels
    if len(numbers) != channels:
        raise UserError(f"{name}: expected one number or {channels}, found {len(numbers)}")
    if name == "std" and min(numbers) <= 0:
        raise UserError(f"{name}: expected numbers above 0, found {value}")
    return numbers
