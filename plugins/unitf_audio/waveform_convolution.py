"""WaveformConvolution: tokens from raw samples by convolutions, as in wav2vec 2.0."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from unitf import Features
from unitf.tokenizer import PositionEmbeddingName
from unitf_audio.convolution import HiddenSpans, SampleConvolutions, SampleEncoder
from unitf_audio.sound_augmentation import Perturbation, SoundAugmentation
from unitf_audio.sound_tokenizer import SoundTokenizer


class WaveformConvolution(SoundTokenizer):
    """Sound as raw samples that convolutions turn into tokens; the last one encodes their order.

    The F numbers of a token are the number of samples from its first one on (at most F - 1), and
    these samples. They include the token's window and reach to the sample before the end of the
    next token's window.

    Args:
        dim: D, the width of a token.
        convolutions: the settings of the layers; None: those of wav2vec 2.0.
        sample_rate: in Hz; every sound is resampled to it.
        normalise: whether every sound is scaled to mean 0 and deviation 1.
        max_seconds: of a longer sound only this many seconds are read: at a random position in
            training, otherwise in the middle.
        perturb: random changes in training.
        hide: spans of tokens to hide in training; None: none, and no vector for them is learned.
        position_embedding: a further position embedding that is added to a token.
        options: further options of Tokenizer (`prefix`).
    """

    def __init__(
        self,
        dim: int,
        convolutions: SampleConvolutions | None = None,
        sample_rate: int = 16_000,
        normalise: bool = True,
        max_seconds: float | None = None,
        perturb: Perturbation | SoundAugmentation | None = None,
        hide: HiddenSpans | None = None,
        position_embedding: PositionEmbeddingName = "none",
        **options: Any,
    ) -> None:
        options |= {"position_embedding": position_embedding}
        super().__init__(dim, sample_rate, max_seconds, perturb, **options)
        self.convolutions = convolutions or SampleConvolutions()
        self.normalise = normalise
        self.hide = hide
        self.num_features: int = self.convolutions.window + self.convolutions.step
        self.content = slice(1, None)

    def tokens(self, samples: Float[Tensor, " T"], train: bool) -> Features:
        if self.normalise:
            samples = samples - samples.mean()
            samples = samples / (samples.var(correction=0) + 1e-7).sqrt()
        return self.cut(samples)

    def cut(self, samples: Float[Tensor, " T"]) -> Features:
        """Returns the samples of each token; a sound too short for one is padded with zeros."""
        window, step = self.convolutions.window, self.convolutions.step
        samples = functional.pad(samples, (0, max(0, window - len(samples))))
        count = (len(samples) - window) // step + 1
        padded = functional.pad(samples, (0, step * count + window - 1 - len(samples)))
        rows = padded.unfold(0, self.num_features - 1, step)
        left = (len(samples) - step * torch.arange(count)).clamp_max(self.num_features - 1)
        return Features(torch.cat([left[:, None].float(), rows], 1).mT)

    def make_parameters(self, unembed: bool = False) -> None:
        super().make_parameters(unembed)
        self.embedding = SampleEncoder(self.dim, self.convolutions, self.hide)

    def embed(self, features: Features) -> Float[Tensor, "D N"]:
        """Turns features into columns with the convolutions."""
        assert isinstance(self.embedding, SampleEncoder), "build() comes before embed()"
        return self.embedding(features.rows, features.lengths).mT

    def loss(self, predicted: Float[Tensor, "F N"], features: Features) -> Float[Tensor, " N"]:
        """Returns the mean squared error of a token's samples; their number does not count."""
        return (predicted - features.values)[self.content].square().mean(0)
