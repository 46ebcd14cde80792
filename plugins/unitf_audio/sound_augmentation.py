"""Random changes of sounds in training; random numbers come from the global generators."""

import random
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unitf import Configurable, UserError
from unitf.tokenizer import Augmentation
from unitf_audio.sound import resample


class SoundAugmentation(Augmentation, ABC):
    """Base of waveform augmentations in plugins: `perturb: NAME`."""

    @abstractmethod
    def __call__(self, samples: Float[Tensor, " T"], sample_rate: int) -> Float[Tensor, " _"]:
        """Returns the changed waveform, of any length; the sample rate is in Hz."""


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

    def __call__(self, samples: Float[Tensor, " T"], sample_rate: int) -> Float[Tensor, " _"]:
        """Returns the changed waveform; its length changes only with `speed`."""
        if self.speed:  # in whole percents, so that a few small resampling kernels suffice
            percent = round(random.uniform(1 - self.speed, 1 + self.speed) * 100)
            samples = resample(samples, max(1, percent), 100)
        if self.shift:
            by = round(random.uniform(-self.shift, self.shift) * sample_rate)
            by = max(-len(samples), min(by, len(samples)))
            samples = torch.nn.functional.pad(samples, (by, -by))
        if self.gain:
            samples = samples * 10 ** (random.uniform(-self.gain, self.gain) / 20)
        if self.snr is not None:
            power = samples.square().mean() / 10 ** (random.uniform(self.snr[0], self.snr[1]) / 10)
            samples = samples + torch.randn_like(samples) * power.sqrt()
        return samples


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
