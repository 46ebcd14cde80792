"""Spectrograms: the power of each frequency band of a sound, frame by frame."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unitf import Configurable, UserError

FLOOR = 1e-6  # power: lower powers are raised to it, so that the logarithm stays finite
TENSORFLOW_FLOOR = 1e-12  # magnitude: the same for models that were trained with TensorFlow


@dataclass(frozen=True)
class Spectrogram(Configurable):
    """Computes a spectrogram of log powers (natural logarithm) from a sound.

    Args:
        sample_rate: in Hz; every sound is resampled to it.
        window: seconds of sound in a frame (under a Hann window).
        hop: seconds from one frame to the next.
        num_mels: the number of mel bands.
        low: the lowest frequency in Hz.
        high: the highest frequency in Hz; None: half the rate.
        kind: "mel" is torchaudio's MelSpectrogram (frames centred, zeros around the sound);
            "kaldi" is torchaudio's version of Kaldi's fbank on samples with 16-bit range (for
            weights that were trained with it); "fbank" is the same on samples from -1 to 1 under
            a Hann window, as in AST; "tensorflow" is TensorFlow's, of magnitudes instead of
            powers (frames not centred, filters triangular over mels).
        num_coefficients: the number of cepstral coefficients (MFCC) that replace the bands, scaled
            as in TensorFlow (the first is √2 times as large as in an orthonormal transform).
    """

    sample_rate: int = 16_000
    window: float = 0.025
    hop: float = 0.01
    num_mels: int = 80
    low: float = 20.0
    high: float | None = None
    kind: Literal["mel", "kaldi", "fbank", "tensorflow"] = "mel"
    num_coefficients: int | None = None

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
        if self.num_coefficients is not None and not 1 <= self.num_coefficients <= self.num_mels:
            raise UserError(
                f"Spectrogram: {self.num_coefficients} coefficients of {self.num_mels} mel bands, "
                "expected at least 1 and no more than bands"
            )

    @property
    def num_rows(self) -> int:
        """M, the number of values of a frame."""
        return self.num_coefficients or self.num_mels

    @property
    def silence(self) -> Float[Tensor, "M 1"]:
        """A frame of silence."""
        return self(torch.zeros(round(self.window * self.sample_rate)))[:, :1]

    @property
    def cosines(self) -> Float[Tensor, "M mels"]:
        """The matrix of the cosine transform (DCT-II) of the log powers."""
        size = self.num_mels
        angles = np.pi * np.arange(self.num_rows)[:, None] * (np.arange(size) + 0.5) / size
        return torch.from_numpy(2 / math.sqrt(2 * size) * np.cos(angles)).float()

    def __call__(self, samples: Float[Tensor, " T"]) -> Float[Tensor, "M frames"]:
        """Returns the log powers of a sound; one shorter than a window is padded with zeros."""
        spectrum = _transform(self)(samples)
        return spectrum if self.num_coefficients is None else self.cosines @ spectrum


@lru_cache(maxsize=16)
def _transform(settings: Spectrogram) -> Callable[[Tensor], Tensor]:
    """Returns the function of these settings; its window and filters are computed once."""
    kinds = {"mel": _mel, "kaldi": _kaldi, "fbank": _kaldi, "tensorflow": _tensorflow}
    return kinds[settings.kind](settings)


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
        with warnings.catch_warnings(action="ignore"):  # empty filters are replaced below
            filters = melscale_fbanks(bins, settings.low, high, settings.num_mels, rate)
        filters = filters.T.contiguous()
        # a narrow filter can lie between two frequencies of a short window: use a longer transform
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
    scale, shape = (32768, "povey") if settings.kind == "kaldi" else (1, "hanning")

    def transform(samples: Tensor) -> Tensor:
        samples = torch.nn.functional.pad(samples, (0, max(0, size - len(samples))))
        return fbank(
            samples[None] * scale,
            window_type=shape,
            num_mel_bins=settings.num_mels,
            sample_frequency=settings.sample_rate,
            frame_length=settings.window * 1000,
            frame_shift=settings.hop * 1000,
            low_freq=settings.low,
            high_freq=settings.high or 0.0,
        ).mT

    return transform


def _tensorflow(settings: Spectrogram) -> Callable[[Tensor], Tensor]:
    rate = settings.sample_rate
    hop = round(settings.hop * rate)
    window, real, imaginary, filters = tensorflow_filters(settings)

    def transform(samples: Tensor) -> Tensor:
        samples = torch.nn.functional.pad(samples, (0, max(0, len(window) - len(samples))))
        frames = samples.unfold(0, len(window), hop) * window
        # matrices as in published graphs: a fast transform rounds differently, which shows in the
        # logarithm if a sound is silent above some frequency
        magnitudes = ((frames @ real.mT).square() + (frames @ imaginary.mT).square()).sqrt()
        return (magnitudes @ filters.mT).clamp_min(TENSORFLOW_FLOOR).log().mT

    return transform


def tensorflow_filters(settings: Spectrogram) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns window (T), Fourier transform (real and imaginary, bins × T), filters (M × bins).

    Bins above the highest band are omitted.
    """
    rate = settings.sample_rate
    size = round(settings.window * rate)
    num_fft = 2 ** math.ceil(math.log2(size))
    high = rate / 2 if settings.high is None else settings.high
    frequencies = np.linspace(0, rate / 2, num_fft // 2 + 1)
    frequencies = frequencies[: math.floor(high / rate * num_fft) + 1]
    low_mel, high_mel = (1127 * np.log1p(f / 700) for f in (settings.low, high))
    edges = np.linspace(low_mel, high_mel, settings.num_mels + 2)[:, None]
    mels = 1127 * np.log1p(frequencies / 700)
    rising = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mels) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling))
    filters[:, 0] = 0  # a constant offset has no sound
    angles = 2 * np.pi * (np.arange(len(frequencies))[:, None] * np.arange(size)) / num_fft
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    arrays = (window, np.cos(angles), -np.sin(angles), filters)
    return tuple(torch.from_numpy(array).float() for array in arrays)  # type: ignore[return-value]
