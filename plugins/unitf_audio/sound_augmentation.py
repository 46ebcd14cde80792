"""Random changes of sounds in training; random numbers come from the global generators."""

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unitf import Configurable, RecipeError, UserError
from unitf.tokenizer import Augmentation, Intervals, LocatedTarget
from unitf_audio.sound import resample


class SoundAugmentation(Augmentation, ABC):
    """Base of waveform augmentations in plugins: `perturb: NAME`."""

    @abstractmethod
    def __call__(self, samples: Float[Tensor, " T"], sample_rate: int) -> Float[Tensor, " _"]:
        """Returns the changed waveform, of any length; the sample rate is in Hz."""

    def move(
        self, samples: Float[Tensor, " T"], sample_rate: int, targets: Sequence[LocatedTarget]
    ) -> tuple[Float[Tensor, " _"], list[LocatedTarget]]:
        """Returns the changed waveform, and where stretches of time are in it.

        Raises:
            UserError: the class `moves`, and does not write this method.
        """
        if self.moves and targets:
            raise RecipeError(
                f"perturb: {type(self).__name__} moves what is located in time, and does not say "
                "where to"
            )
        return self(samples, sample_rate), list(targets)


class SpectrumAugmentation(Augmentation, ABC):
    """Base of spectrogram augmentations in plugins: `mask: NAME`."""

    @abstractmethod
    def __call__(self, spectrum: Float[Tensor, "M T"], mean: float = 0.0) -> Float[Tensor, "M T"]:
        """Returns the changed spectrogram of M bands and T frames; `mean` is its mean."""


@dataclass(frozen=True)
class Perturbation(Configurable):
    """Random changes of a waveform.

    Args:
        speed: the largest relative change of tempo and pitch (0.1: 0.9 to 1.1 times as fast).
        shift: the largest shift in seconds, in either direction; the length stays.
        gain: the largest change of the level in dB, in either direction.
        snr: the lowest and highest power of the sound relative to added white noise, in dB.
    """

    speed: float = 0.0
    shift: float = 0.0
    gain: float = 0.0
    snr: list[float] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.speed < 1 or self.shift < 0 or self.gain < 0:
            raise UserError(
                f"expected a speed of 0 to 1, and shift and gain of 0 or more; found {self}"
            )
        if self.snr is not None and (len(self.snr) != 2 or self.snr[0] > self.snr[1]):
            raise UserError(f"snr: expected the lowest and the highest value, found {self.snr}")

    @property
    def moves(self) -> bool:
        """Whether the changes move what is heard."""
        return bool(self.speed or self.shift)

    def __call__(self, samples: Float[Tensor, " T"], sample_rate: int) -> Float[Tensor, " _"]:
        """Returns the changed waveform; its length changes only with `speed`."""
        return self.move(samples, sample_rate, [])[0]

    def move(
        self, samples: Float[Tensor, " T"], sample_rate: int, targets: Sequence[LocatedTarget]
    ) -> tuple[Float[Tensor, " _"], list[LocatedTarget]]:
        """Returns the changed waveform, and where stretches of time are in it."""
        moved = list(targets)
        if self.speed:  # in whole percents, so that a few small resampling kernels suffice
            percent = round(random.uniform(1 - self.speed, 1 + self.speed) * 100)
            samples = resample(samples, max(1, percent), 100)
            moved = [stretched(target, 100 / max(1, percent)) for target in moved]
        if self.shift:
            by = round(random.uniform(-self.shift, self.shift) * sample_rate)
            by = max(-len(samples), min(by, len(samples)))
            samples = torch.nn.functional.pad(samples, (by, -by))
            seconds = len(samples) / sample_rate
            moved = [shifted(target, by / sample_rate, seconds) for target in moved]
        return self._recoloured(samples), moved

    def _recoloured(self, samples: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
        """Returns the waveform at another level and with noise."""
        if self.gain:
            samples = samples * 10 ** (random.uniform(-self.gain, self.gain) / 20)
        if self.snr is not None:
            power = samples.square().mean() / 10 ** (random.uniform(self.snr[0], self.snr[1]) / 10)
            samples = samples + torch.randn_like(samples) * power.sqrt()
        return samples


def stretched(target: LocatedTarget, factor: float) -> LocatedTarget:
    """Returns stretches of time of a sound that takes `factor` times as long."""
    target = _in_time(target)
    return Intervals(target.values * factor, target.kept)


def shifted(target: LocatedTarget, by: float, length: float) -> LocatedTarget:
    """Returns stretches of time of a sound that begins later by so many seconds.

    Args:
        target: the stretches.
        by: the seconds; less than 0, if the beginning is cut off.
        length: of the sound, in seconds; what is beyond it is cut, or left out.
    """
    target = _in_time(target)
    moved = (target.values + by).clip(0, length)
    left = moved[:, 1] > moved[:, 0]
    return Intervals(moved[left], target.kept[left])


def _in_time(target: LocatedTarget) -> Intervals:
    if not isinstance(target, Intervals):
        raise UserError(f"found {type(target).__name__} of a sound, expected stretches of time")
    return target


@dataclass(frozen=True)
class SpecAugment(Configurable):
    """Random stripes of a spectrogram set to its mean (Park et al., 2019).

    Args:
        time_masks: the number of stripes of consecutive frames.
        time_share: the largest fraction of all frames that one stripe covers.
        frequency_masks: the number of stripes of neighbouring bands.
        frequency_share: the largest fraction of all bands that one stripe covers.
    """

    time_masks: int = 2
    time_share: float = 0.1
    frequency_masks: int = 2
    frequency_share: float = 0.15

    def __post_init__(self) -> None:
        if not (0 <= self.time_share <= 1 and 0 <= self.frequency_share <= 1):
            raise UserError(f"expected time_share and frequency_share of 0 to 1, found {self}")

    def __call__(self, spectrum: Float[Tensor, "M T"], mean: float = 0.0) -> Float[Tensor, "M T"]:
        """Returns the masked spectrogram; the stripes are set to `mean`."""
        spectrum = spectrum.clone()
        for axis, masks, fraction in (
            (0, self.frequency_masks, self.frequency_share),
            (1, self.time_masks, self.time_share),
        ):
            size = spectrum.shape[axis]
            for _ in range(masks):
                width = random.randint(0, int(fraction * size))
                start = random.randrange(size - width + 1)
                spectrum.narrow(axis, start, width).fill_(mean)
        return spectrum
