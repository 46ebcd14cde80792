"""Spectrograms: how much of each frequency a sound has, frame by frame."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from unitf import UserError
from unitf.configurable import Configurable

FLOOR = 1e-6  # power: below it is silence, so that its logarithm stays finite


@dataclass(frozen=True)
class Spectrogram(Configurable):
    """How a sound becomes a spectrogram of log powers (natural logarithm).

    Args:
        sample_rate: in Hz; every sound is brought to it.
        window: seconds of sound that a frame sees (under a Hann window).
        hop: seconds from one frame to the next.
        num_mels: number of mel bands.
        low: lowest frequency in Hz.
        high: highest frequency in Hz; by default half the rate.
        kind: "mel" is torchaudio's MelSpectrogram (frames centred, zeros around the sound);
            "kaldi" is Kaldi's fbank, by torchaudio, of samples with 16-bit range (for weights
            that were trained with it).
    """

    sample_rate: int = 16_000
    window: float = 0.025
    hop: float = 0.01
    num_mels: int = 80
    low: float = 20.0
    high: float | None = None
    kind: Literal["mel", "kaldi"] = "mel"

    def __post_init__(self) -> None:
        top = self.sample_rate / 2 if self.high is None else self.high
        if not 0 <= self.low < top <= self.sample_rate / 2:
            raise UserError(
                f"Spectrogram: frequencies from {self.low} to {top} Hz, expected them between "
                f"0 and half the rate, {self.sample_rate / 2} Hz"
            )
        rate = self.sample_rate
        if rate * self.hop < 1 or rate * self.window < 2 or max(self.hop, self.window) > 1:
            raise UserError(
                f"Spectrogram: a window of {self.window} s and a hop of {self.hop} s, expected "
                f"several samples at {rate} Hz and at most 1 (they are in seconds)"
            )
        if not 1 <= self.num_mels <= 1_024:
            raise UserError(f"Spectrogram: {self.num_mels} mel bands, expected 1 to 1,024")

    @property
    def floor(self) -> float:
        """What silence gives."""
        return math.log(FLOOR if self.kind == "mel" else torch.finfo(torch.float32).eps)

    def __call__(self, samples: Float[Tensor, " T"]) -> Float[Tensor, "M frames"]:
        """The log powers of a sound; one that is shorter than a window is padded with zeros."""
        return _transform(self)(samples)


@lru_cache(maxsize=16)
def _transform(settings: Spectrogram) -> Callable[[Tensor], Tensor]:
    """The function that settings describe, with its window and filters made once."""
    return {"mel": _mel, "kaldi": _kaldi}[settings.kind](settings)


def _mel(settings: Spectrogram) -> Callable[[Tensor], Tensor]:
    from torchaudio.functional import melscale_fbanks

    rate = settings.sample_rate
    size = round(settings.window * rate)
    hop = round(settings.hop * rate)
    window = torch.hann_window(size)
    num_fft = 2 ** math.ceil(math.log2(size))
    high = rate / 2 if settings.high is None else settings.high
    while True:
        bins = num_fft // 2 + 1
        with warnings.catch_warnings(action="ignore"):  # of what is mended here
            filters = melscale_fbanks(bins, settings.low, high, settings.num_mels, rate)
        filters = filters.T.contiguous()
        # a narrow filter may lie between two frequencies of a short window: look more closely
        if bool(filters.any(1).all()):
            break
        num_fft *= 2
        if num_fft > 32 * size:
            raise UserError(
                f"Spectrogram: {settings.num_mels} mel bands from {settings.low} to {high} Hz "
                "are too narrow, expected fewer bands"
            )

    def transform(samples: Tensor) -> Tensor:
        waves = torch.stft(
            samples, num_fft, hop, size, window, pad_mode="constant", return_complex=True
        )
        power = waves.real.square() + waves.imag.square()
        return (filters @ power).clamp_min(FLOOR).log()

    return transform


def _kaldi(settings: Spectrogram) -> Callable[[Tensor], Tensor]:
    from torchaudio.compliance.kaldi import fbank

    size = round(settings.window * settings.sample_rate)

    def transform(samples: Tensor) -> Tensor:
        samples = torch.nn.functional.pad(samples, (0, max(0, size - len(samples))))
        return fbank(
            samples[None] * 32768,
            num_mel_bins=settings.num_mels,
            sample_frequency=settings.sample_rate,
            frame_length=settings.window * 1000,
            frame_shift=settings.hop * 1000,
            low_freq=settings.low,
            high_freq=settings.high or 0.0,
        ).mT

    return transform
