"""SeriesPatches: the channels of a time series, cut into patches in time."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf import Column, Features, Proposal, Tokenizer, UserError
from unitf.tokenizer import Curves, PositionEmbeddingName, initialise

Series = Float[np.ndarray, "T C"]
Scaling = Literal["deviation", "size", "none"]


class SeriesPatches(Tokenizer):
    """A series of C channels as patches in time, one channel after the other.

    Each channel is normalised by its own level and scale. The last three of the F numbers of a
    patch are the level, its rounding error in float32, and the scale, so that predictions return
    to the unit of the channel. `embed` ignores them. Missing numbers (NaN) count as the level.

    A core with `chunk` (the number of patches of a channel) processes each channel alone, as
    PatchTST (Nie et al., 2023, arXiv:2211.14730); a core without it attends to all of them.

    Args:
        dim: D, the width of a token.
        patch: steps of time in a patch.
        stride: steps from one patch to the next; None: `patch`, so that they do not overlap.
        channels: C, the number of channels; None: each series has its own number.
        steps: the number of last steps that are read, which a series must have; None: all.
        scaling: "deviation" subtracts the mean and divides by the standard deviation; "size"
            divides by the mean absolute value alone.
        smallest: a number that is added to the variance, or the least size.
        channel_axis: whether positions are (patch, channel), or the patch alone.
        position_embedding: as in Tokenizer; "learned" and "additive" need `steps`.
        learn_positions: whether training changes learned positions.
        max_tokens: the most patches of all channels together.
        options: further options of Tokenizer.
    """

    def __init__(
        self,
        dim: int,
        patch: int = 16,
        stride: int | None = None,
        channels: int | None = None,
        steps: int | None = None,
        scaling: Scaling = "deviation",
        smallest: float = 1e-5,
        channel_axis: bool = True,
        position_embedding: PositionEmbeddingName = "sinusoidal",
        learn_positions: bool = True,
        max_tokens: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(dim, position_embedding, max_tokens, **options)
        for name, value in (("patch", patch), ("stride", stride), ("channels", channels)):
            if value is not None and value < 1:
                raise UserError(f"{name}: expected a whole number from 1 on, found {value}")
        if steps is not None and steps < patch:
            raise UserError(f"steps: expected at least the {patch} of a patch, found {steps}")
        self.patch, self.stride = patch, stride or patch
        self.channels, self.steps = channels, steps
        self.scaling: Scaling = scaling
        self.smallest = smallest
        self.num_axes = 2 if channel_axis else 1
        self.learn_positions = learn_positions
        self.num_features = patch + 3
        self.content = slice(patch)

    @classmethod
    def recognise(cls, column: Column) -> Proposal | None:
        """Recognises arrays (T, C) of numbers, all of one shape."""
        arrays = [value for value in column.values if isinstance(value, np.ndarray)]
        shapes = {array.shape for array in arrays}
        if len(shapes) != 1 or len(arrays) < len(column.values):
            return None
        [shape] = shapes
        is_real = all(array.dtype.kind == "f" for array in arrays)
        if len(shape) != 2 or not is_real or shape[0] < 2:
            return None
        patch = min(16, max(1, shape[0] // 8))
        settings = {"patch": patch, "channels": shape[1], "steps": shape[0]}
        recipe = {
            "model.core.chunk": (shape[0] - patch) // patch + 1,
            "model.core.dim": 64,
            "model.core.depth": 2,
            "model.core.num_heads": 4,
            "model.core.dropout": 0.2,
        }
        reason = f"series of {shape[0]} steps and {shape[1]} channels, each read alone"
        return Proposal(settings, 0.7, reason, recipe)

    @property
    def num_patches(self) -> int:
        """The number of patches of each channel of a series of `steps`."""
        if self.steps is None:
            raise UserError(f"{type(self).__name__}: the number of patches needs steps")
        return self.count(self.steps)

    def count(self, steps: int) -> int:
        """Returns the number of patches of a channel of a series of so many steps."""
        return (steps - self.patch) // self.stride + 1

    def covered(self, count: int) -> int:
        """Returns the number of steps that so many patches cover."""
        return (count - 1) * self.stride + self.patch

    @property
    def position_shape(self) -> tuple[int, ...] | None:
        if self.num_axes == 1:
            return (self.num_patches,)
        if self.channels is None:
            raise UserError(f"{type(self).__name__}: positions of channels need channels")
        return (self.num_patches, self.channels)

    def position_of(self, number: int) -> Sequence[float]:
        """Returns the position of token `number`: patches count first, then channels."""
        if self.steps is None:
            return super().position_of(number)
        channel, patch = divmod(number, self.num_patches)
        return (float(patch), float(channel))[: self.num_axes]

    def make_parameters(self, unembed: bool = False) -> None:
        super().make_parameters(unembed)
        self.embedding = nn.Linear(self.patch, self.dim)
        initialise(self.embedding)
        nn.init.xavier_uniform_(self.embedding.weight)
        if self.position_embedding is not None:
            self.position_embedding.requires_grad_(self.learn_positions)

    def embed(self, features: Features) -> Float[Tensor, "D N"]:
        """Returns the patches as columns, without level and scale."""
        assert self.embedding is not None
        return self.embedding(features.rows[:, : self.patch]).mT

    def loss(self, predicted: Float[Tensor, "F N"], features: Features) -> Float[Tensor, " N"]:
        """Returns the mean squared error of each patch, in units of its channel's scale."""
        return (predicted - features.values)[: self.patch].square().mean(0)

    def rejoined(self, features: Features, count: int) -> Float[Tensor, "K T"]:
        """Returns the steps that the patches of each channel cover, in units of its scale.

        Args:
            count: the number of patches of a channel.
        """
        patches = features.rows[:, : self.patch].unflatten(0, (-1, count))
        if self.stride > self.patch:
            raise UserError(f"stride {self.stride} leaves out steps, expected at most {self.patch}")
        early, last = patches[:, :-1, : self.stride], patches[:, -1]
        return torch.cat([early.flatten(1), last], dim=1)

    def levels(self, features: Features) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
        """Returns for each token the level (float64) and the scale of its channel."""
        level, rest, scale = features.values[self.patch :].unbind(0)
        return level.double() + rest, scale

    # ---- raw values and features -------------------------------------------------------

    def encode(self, value: object, train: bool = False) -> Features:
        """Encodes a series (array (T, C) or (T,), tensor, nested list) as F×N."""
        series = read_series(value, self.channels)
        if self.steps is not None:
            if len(series) < self.steps:
                raise UserError(f"a series of {len(series)} steps, expected {self.steps} or more")
            series = series[-self.steps :]
        if len(series) < self.patch:
            raise UserError(f"a series of {len(series)} steps, a patch has {self.patch}")
        scaled, level, scale = self.scaled(torch.from_numpy(series))
        count = self.count(len(series))
        spare = len(series) - self.covered(count)
        # spare steps are cut off at the beginning, not at the end
        patches = scaled[spare:].unfold(0, self.patch, self.stride)  # (patches, C, patch)
        patches = patches.transpose(0, 1)
        around = torch.stack([level, level - level.float(), scale], dim=1)
        around = around[:, None].expand(-1, count, -1)
        rows = torch.cat([patches, around], dim=2).flatten(0, 1).float()
        positions = [torch.arange(count).repeat(len(level))]
        if self.num_axes == 2:
            positions.append(torch.arange(len(level)).repeat_interleave(count))
        return Features(rows.mT, torch.stack(positions).float())

    def scaled(self, series: Float[Tensor, "T C"]) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the normalised series, and the level and scale (C,) of each channel."""
        seen = ~series.isnan()
        counts = seen.sum(0).clamp(min=1)
        level = torch.zeros_like(series[0])
        if self.scaling == "deviation":
            level = series.nan_to_num().sum(0) / counts
        series = torch.where(seen, series, level)
        scale = torch.ones_like(level)
        if self.scaling == "deviation":
            variance = (series - level).square().sum(0) / counts
            scale = (variance + self.smallest).sqrt()
        elif self.scaling == "size":
            scale = (series.abs().sum(0) / counts).clamp(min=self.smallest)
        return (series - level) / scale, level, scale

    def show(self, value: object) -> Curves:
        """Returns a series as one curve for each channel."""
        return Curves(read_series(value))

    def decode(self, features: Features) -> np.ndarray:
        """Returns the series (T, C) that the patches cover; on overlaps the later patch counts."""
        if features.num_tokens == 0:
            raise UserError("a series of no patches cannot be decoded")
        features = features.to("cpu")
        count = int(features.positions[0].max()) + 1
        patches = features.rows.detach().double().unflatten(0, (-1, count))  # (C, patches, F)
        level, scale = (each.detach()[::count] for each in self.levels(features))
        series = patches.new_zeros((count - 1) * self.stride + self.patch, len(patches))
        for number in range(count):
            first = number * self.stride
            series[first : first + self.patch] = patches[:, number, : self.patch].mT
        return (series * scale + level).numpy()

    def to_file(self, value: np.ndarray) -> tuple[str, bytes]:
        """Returns a series (T, C) as a table between tabs: a row for each time."""
        rows = ["\t".join(f"{number:.9g}" for number in row) for row in value]
        header = "\t".join(f"channel_{number}" for number in range(value.shape[1]))
        return ".tsv", "\n".join([header, *rows, ""]).encode()

    @staticmethod
    def examples() -> list[object]:
        """Returns raw values of several kinds for the checks of plugins."""
        random = np.random.default_rng(0)
        walk = random.normal(size=(64, 3)).cumsum(0) + np.array([0, 100, -5])
        return [
            walk,
            walk[:32, :1].astype(np.float32),
            walk[:48].tolist(),
            torch.from_numpy(walk[:16]),
            walk[:32, 0],
        ]


def read_series(value: object, channels: int | None = None) -> Series:
    """Returns a raw value as an array (T, C) of float64; an array of one axis is one channel.

    Raises:
        UserError: the value is no series of numbers, has infinite numbers, or has another
            number of channels.
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu().double().numpy()
    try:
        series = np.array(value, dtype=np.float64)  # a copy: the value may be read-only
    except (TypeError, ValueError):
        raise UserError(
            f"expected a series of numbers (T, C) or (T,), found {type(value).__name__} "
            f"{str(value)[:60]!r}"
        ) from None
    if series.ndim == 1:
        series = series[:, None]
    if series.ndim != 2 or not series.size:
        raise UserError(f"a series of shape {series.shape}, expected (T, C) or (T,)")
    if channels is not None and series.shape[1] != channels:
        raise UserError(f"a series of {series.shape[1]} channels, expected {channels}")
    if np.isinf(series).any():
        raise UserError("a series with infinite numbers")
    return series
