"""WaveformFrames: tokens from windows of raw samples."""

import io
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from unitf import Features, UserError
from unitf.tokenizer import PositionEmbeddingName
from unitf_audio.moments import fit_moments
from unitf_audio.sound_augmentation import Perturbation, SoundAugmentation
from unitf_audio.sound_tokenizer import SoundTokenizer


class WaveformFrames(SoundTokenizer):
    """Sound as raw samples: each token is one window; tokens can be decoded to sound.

    Args:
        dim: D, the width of a token.
        sample_rate: in Hz; every sound is resampled to it.
        window: seconds of sound of a token; the last token is padded with zeros.
        max_seconds: of a longer sound only this many seconds are read: at a random position in
            training, otherwise in the middle.
        perturb: random changes in training.
        position_embedding: the position embedding that is added to a token.
        max_tokens: the longest sequence.
        options: further options of Tokenizer (`prefix`).
    """

    def __init__(
        self,
        dim: int,
        sample_rate: int = 16_000,
        window: float = 0.02,
        max_seconds: float | None = None,
        perturb: Perturbation | SoundAugmentation | None = None,
        position_embedding: PositionEmbeddingName = "sinusoidal",
        max_tokens: int | None = None,
        **options: Any,
    ) -> None:
        options |= {"position_embedding": position_embedding, "max_tokens": max_tokens}
        super().__init__(dim, sample_rate, max_seconds, perturb, **options)
        self.num_features: int = round(sample_rate * window)
        if self.num_features < 1 or window > 1:
            raise UserError(
                f"a window of {window} s at {sample_rate} Hz, expected one that holds samples and "
                "is at most 1 (it is in seconds)"
            )

    def fit(self, values: Iterable[object]) -> None:
        self.fitted = fit_moments(
            values,
            lambda value: self.heard(value)[0][None],
            (0, 1),
        )

    def tokens(self, samples: Float[Tensor, " T"], train: bool) -> Features:
        missing = -len(samples) % self.num_features
        # the mean of sound is 0: silence stays 0
        samples = torch.nn.functional.pad(samples, (0, missing)) / self._deviation
        return Features(rearrange(samples, "(n f) -> f n", f=self.num_features))

    def decode(self, features: Features) -> tuple[np.ndarray, int]:
        """Returns the samples (float32, with the padding of the last window) and their rate."""
        samples = rearrange(features.values, "f n -> (n f)") * self._deviation
        return samples.detach().cpu().float().numpy(), self.sample_rate

    def to_file(self, value: tuple[np.ndarray, int]) -> tuple[str, bytes]:
        """Returns a sound, samples and their rate, as WAV."""
        import soundfile

        buffer = io.BytesIO()
        soundfile.write(buffer, *value, format="WAV")
        return ".wav", buffer.getvalue()

    @property
    def _deviation(self) -> float:
        return float(self.fitted["std"]) if self.fitted else 1.0
