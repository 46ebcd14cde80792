"""The layers between raw samples and tokens in wav2vec 2.0 and similar models."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from unitf import Configurable, UserError
from unitf.tokenizer import initialise

Activation = Literal["gelu", "relu", "silu"]
ACTIVATIONS = {"gelu": functional.gelu, "relu": functional.relu, "silu": functional.silu}


@dataclass(frozen=True)
class SampleConvolutions(Configurable):
    """Convolutions over samples, a projection to D, and a position convolution over tokens.

    The defaults are wav2vec 2.0's (Baevski et al., 2020).

    Args:
        channels: output channels of each convolution.
        kernels: kernel length of each convolution.
        steps: stride of each convolution.
        norm: "group" normalises the outputs of the first convolution over the time of their
            sequence; "layer" normalises the outputs of all convolutions over their channels.
        bias: whether the convolutions have a bias.
        activation: the activation after each convolution.
        projection_norm: whether there is a LayerNorm before the projection.
        norm_eps: the epsilon of that LayerNorm.
        position_kernel: kernel length of the position convolution, in tokens.
        position_groups: groups of channels of the position convolution.
    """

    channels: Sequence[int] = (512,) * 7
    kernels: Sequence[int] = (10, 3, 3, 3, 3, 2, 2)
    steps: Sequence[int] = (5, 2, 2, 2, 2, 2, 2)
    norm: Literal["group", "layer"] = "group"
    bias: bool = False
    activation: Activation = "gelu"
    projection_norm: bool = True
    norm_eps: float = 1e-5
    position_kernel: int = 128
    position_groups: int = 16

    def __post_init__(self) -> None:
        lengths = {len(self.channels), len(self.kernels), len(self.steps)}
        positions = [self.position_kernel, self.position_groups]
        numbers = [*self.channels, *self.kernels, *self.steps, *positions]
        if len(lengths) != 1 or min(numbers) < 1:
            raise UserError(
                "SampleConvolutions: expected as many channels as kernels and steps, all from 1, "
                f"found {list(self.channels)}, {list(self.kernels)}, {list(self.steps)}"
            )

    @property
    def step(self) -> int:
        """The number of samples from one token to the next."""
        product = 1
        for step in self.steps:
            product *= step
        return product

    @property
    def window(self) -> int:
        """The number of samples that determine a token."""
        window, step = 1, 1
        for kernel, by in zip(self.kernels, self.steps, strict=True):
            window += (kernel - 1) * step
            step *= by
        return window


@dataclass(frozen=True)
class HiddenSpans(Configurable):
    """Spans of tokens that a learned vector replaces in training (SpecAugment, in tokens).

    Args:
        mask_ratio: the fraction of tokens that would be hidden if spans did not overlap.
        length: the length of a span in tokens.
        least: the smallest number of hidden spans.
    """

    mask_ratio: float = 0.05
    length: int = 10
    least: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.mask_ratio <= 1 or self.length < 1 or self.least < 0:
            raise UserError(
                f"HiddenSpans: expected mask_ratio of 0 to 1 and length of 1 or more, found {self}"
            )

    def draw(self, tokens: int) -> list[int]:
        """Draws the tokens of one sequence to hide, with torch's global generator."""
        if not self.mask_ratio or tokens < self.length:
            return []
        exact = self.mask_ratio * tokens / self.length
        count = max(self.least, int(exact + torch.rand(()).item()))
        starts = torch.randperm(tokens - self.length + 1)[:count].tolist()
        return sorted({start + index for start in starts for index in range(self.length)})


class SampleEncoder(nn.Module):
    """The layers that `SampleConvolutions` describes.

    Each token is one row: the number of samples from its first one on (at most the number that the
    row holds), and these samples. They include the token's window and reach to the sample before
    the end of the next token's window.
    """

    def __init__(
        self, dim: int, settings: SampleConvolutions, hidden: HiddenSpans | None = None
    ) -> None:
        super().__init__()
        self.settings, self.spans = settings, hidden
        self.activation = ACTIVATIONS[settings.activation]
        widths = [1, *settings.channels]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, width, kernel, step, bias=settings.bias)
            for (before, width), kernel, step in zip(
                pairwise(widths), settings.kernels, settings.steps, strict=True
            )
        )
        normed = settings.channels[:1] if settings.norm == "group" else settings.channels
        kind = TimeNorm if settings.norm == "group" else ChannelNorm
        self.norms = nn.ModuleList(kind(width) for width in normed)
        self.norm = None
        if settings.projection_norm:
            self.norm = nn.LayerNorm(settings.channels[-1], settings.norm_eps)
        self.projection = nn.Linear(settings.channels[-1], dim)
        self.hidden = None if hidden is None else nn.Parameter(torch.rand(dim))
        self.places = PositionConvolution(dim, settings)
        initialise(self)
        for layer in self.convolutions:
            nn.init.kaiming_normal_(layer.weight)  # type: ignore[arg-type]

    def forward(self, rows: Float[Tensor, "N F"], lengths: Sequence[int]) -> Float[Tensor, "N D"]:
        real = [length for length in lengths if length]
        if not real:  # without sounds the layers still run, so that each parameter has a gradient
            return self(rows.new_zeros(1, rows.shape[1]), [1])[:0]
        sounds, counts = self.to_sounds(rows, real)
        numbers = self.convolve(sounds[:, None], counts)[..., : max(real)].mT
        numbers = self.projection(numbers if self.norm is None else self.norm(numbers))
        is_real = torch.arange(max(real)) < torch.tensor(real)[:, None]
        if self.training and self.hidden is not None:
            numbers = self.hide(numbers, real)
        is_real = is_real.to(numbers.device)
        numbers = numbers * is_real[..., None]  # the last convolution sees zeros after a sequence
        numbers = numbers + self.activation(self.places(numbers))
        if len(set(real)) == 1:
            return numbers.flatten(0, 1)
        return torch.cat([n[:length] for n, length in zip(numbers, real, strict=True)])

    def to_sounds(
        self, rows: Float[Tensor, "N F"], lengths: Sequence[int]
    ) -> tuple[Float[Tensor, "S T"], Float[Tensor, " S"]]:
        """Returns the samples of every sequence, padded with zeros, and their numbers."""
        step = self.settings.step
        size = step * (max(lengths) - 1) + rows.shape[1] - 1
        sounds, counts = rows.new_zeros(len(lengths), size), []
        for sound, part in zip(sounds, rows.split(list(lengths)), strict=True):
            before = step * (len(part) - 1)
            sound[:before] = part[:-1, 1 : step + 1].flatten()
            sound[before : before + rows.shape[1] - 1] = part[-1, 1:]
            # a hidden token is all zeros: it has at least one window of samples
            counts.append(part[-1, 0].clamp_min(self.settings.window) + before)
        return sounds, torch.stack(counts)

    def convolve(
        self, numbers: Float[Tensor, "S C T"], counts: Float[Tensor, " S"]
    ) -> Float[Tensor, "S C2 T2"]:
        """Returns the outputs of the last convolution; those beyond a sequence are arbitrary."""
        settings = self.settings
        for layer, norm, kernel, step in zip_longest(
            self.convolutions, self.norms, settings.kernels, settings.steps
        ):
            numbers = layer(numbers)
            counts = ((counts - kernel) / step).floor() + 1
            numbers = self.activation(numbers if norm is None else norm(numbers, counts))
        return numbers

    def hide(self, numbers: Float[Tensor, "S L D"], lengths: list[int]) -> Float[Tensor, "S L D"]:
        """Replaces random spans by the learned vector."""
        assert self.spans is not None and self.hidden is not None
        mask = torch.zeros(numbers.shape[:2], dtype=torch.bool)
        for row, length in zip(mask, lengths, strict=True):
            row[self.spans.draw(length)] = True
        mask = mask.to(numbers.device)[..., None]
        return torch.where(mask, self.hidden.to(numbers.dtype), numbers)


class TimeNorm(nn.Module):
    """Normalises each channel over the real time of its sequence (GroupNorm per channel)."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(
        self, numbers: Float[Tensor, "S C T"], counts: Float[Tensor, " S"]
    ) -> Float[Tensor, "S C T"]:
        kind = torch.promote_types(numbers.dtype, torch.float32)
        counts = counts[:, None, None].to(kind)
        is_real = torch.arange(numbers.shape[2], device=numbers.device) < counts
        exact = numbers.to(kind)
        mean = (exact * is_real).sum(2, keepdim=True) / counts
        deviation = (exact - mean) * is_real
        variance = deviation.square().sum(2, keepdim=True) / counts
        normed = deviation * (variance + self.eps).rsqrt()
        return (normed * self.weight[:, None] + self.bias[:, None]).to(numbers.dtype)


class ChannelNorm(nn.LayerNorm):
    """Normalises the channels of each time step together (LayerNorm)."""

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, numbers: Float[Tensor, "S C T"], counts: Float[Tensor, " S"]
    ) -> Float[Tensor, "S C T"]:
        return super().forward(numbers.mT).mT


class PositionConvolution(nn.Module):
    """A grouped convolution with weight normalisation that keeps the length of a sequence.

    Each index of the kernel has separate parameters for length and direction (Salimans and Kingma,
    2016). torch's own parametrization cannot be pickled for data workers.
    """

    def __init__(self, dim: int, settings: SampleConvolutions) -> None:
        super().__init__()
        self.kernel, self.groups = settings.position_kernel, settings.position_groups
        if dim % self.groups:
            raise UserError(f"position_groups {self.groups} do not divide a width of {dim}")
        direction = torch.randn(dim, dim // self.groups, self.kernel)
        direction *= 2 * (self.kernel * dim) ** -0.5
        self.direction = nn.Parameter(direction)
        self.length = nn.Parameter(direction.norm(dim=(0, 1), keepdim=True))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, rows: Float[Tensor, "S L D"]) -> Float[Tensor, "S L D"]:
        weight = self.direction * (self.length / self.direction.norm(dim=(0, 1), keepdim=True))
        numbers = functional.conv1d(
            rows.mT, weight, self.bias, padding=self.kernel // 2, groups=self.groups
        )
        return numbers[..., : rows.shape[1]].mT
