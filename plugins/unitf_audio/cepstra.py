"""CepstralFrames: speech as given features; also an example of a small modality."""

import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from unitf import Features, Tokenizer, UserError
from unitf_audio.moments import fit_moments
from unitf_audio.sound_augmentation import SpecAugment, SpectrumAugmentation


class CepstralFrames(Tokenizer):
    """Frames of features (MFCC), an array T×C: each token is a window of frames.

    Each coefficient has mean 0 in each utterance (cepstral mean normalisation removes the influence
    of the microphone) and deviation 1 over the training data.

    Args:
        dim: D, the width of a token; the core's configuration gives it.
        num_coefficients: C, the number of coefficients of a frame.
        window: the number of frames of a token.
        step: the number of frames from one token to the next.
        stretch: the largest relative change of speed in training.
        mask: random stripes that are hidden in training.
        options: the options of Tokenizer.
    """

    def __init__(
        self,
        dim: int,
        num_coefficients: int = 13,
        window: int = 9,
        step: int = 3,
        stretch: float = 0.0,
        mask: SpecAugment | SpectrumAugmentation | None = None,
        **options: Any,
    ) -> None:
        super().__init__(dim, **options)
        if min(num_coefficients, window, step) < 1 or not 0 <= stretch < 1:
            raise UserError(
                "CepstralFrames: expected num_coefficients, window and step of 1 or more and a "
                f"stretch below 1, found {num_coefficients}, {window}, {step} and {stretch}"
            )
        self.num_coefficients = num_coefficients
        self.window = window
        self.step = step
        self.stretch = stretch
        self.moves: bool = stretch > 0
        self.mask = mask
        self.num_features = num_coefficients * window

    def fit(self, values: Iterable[object]) -> None:
        self.fitted = fit_moments(values, self.read, across=(1,))

    def read(self, value: object) -> Float[Tensor, "C T"]:
        """Returns the frames of an utterance; each coefficient has mean 0."""
        array = np.asarray(value)
        if (
            array.ndim != 2
            or array.shape[1] != self.num_coefficients
            or array.dtype.kind not in "fiu"
        ):
            raise UserError(
                f"expected frames, an array of numbers T×{self.num_coefficients}, "
                f"found {array.dtype} {'×'.join(map(str, array.shape)) or 'without axes'}"
            )
        if not len(array) or not np.isfinite(array).all():
            raise UserError("expected one frame or more, of finite numbers")
        frames = torch.from_numpy(array.astype(np.float32)).mT
        return frames - frames.mean(1, keepdim=True)

    def encode(self, value: object, train: bool = False) -> Features:
        frames = self.read(value)
        if self.fitted:
            frames = frames / self.fitted["std"]
        if train and self.stretch:
            speed = 1 + random.uniform(-self.stretch, self.stretch)
            length = max(1, round(frames.shape[1] * speed))
            frames = functional.interpolate(frames[None], length, mode="linear")[0]
        if train and self.mask is not None:
            frames = self.mask(frames)
        # enough frames before the first and after the last, so that each has a window around it
        missing = max(self.window - self.step, self.window - frames.shape[1])
        frames = functional.pad(frames, (missing // 2, missing - missing // 2))
        windows = frames.unfold(1, self.window, self.step)
        return Features(rearrange(windows, "c n w -> (w c) n"))

    @staticmethod
    def examples() -> list[object]:
        """Returns raw values of varied size."""
        generator = np.random.default_rng(0)
        return [generator.standard_normal((n, 13)).astype(np.float16) for n in (1, 8, 40, 41)]
