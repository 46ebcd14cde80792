"""WaveformConvolution: raw samples through convolutions, as wav2vec 2.0 hears them."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from unitf import Features, Tokenizer
from unitf.tokenizer import PositionEmbeddingName
from unitf_audio.augmentation import Perturbation, SoundAugmentation
from unitf_audio.convolution import HiddenSpans, SampleConvolutions, SampleEncoder
from unitf_audio.sound import example_sounds, read_sound


class WaveformConvolution(Tokenizer):
    """Sound as its raw samples, of which convolutions make tokens; the last one tells their order.

    A token's F numbers are how many samples there are from its first one on (at most F - 1), and
    those: what it sees, and what comes before the end of what a next token would see.

    Args:
        dim: D, the width of a token.
        convolutions: the layers.
        sample_rate: in Hz; every sound is brought to it.
        normalise: whether every sound gets mean 0 and deviation 1.
        max_seconds: of a longer sound only so much is read: anywhere in training, else the middle.
        perturb: random changes in training.
        hide: spans of tokens to hide in training; None: none, and no vector for them is learned.
        position_embedding: what else is added to a token for where it stands.
        options: further ones of every tokenizer (`prefix`).
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
        super().__init__(dim, position_embedding, **options)
        self.convolutions = convolutions or SampleConvolutions()
        self.sample_rate = sample_rate
        self.normalise = normalise
        self.max_seconds = max_seconds
        self.perturb = perturb
        self.hide = hide
        self.num_features: int = self.convolutions.window + self.convolutions.step
        self.content = slice(1, None)

    def encode(self, value: Any, train: bool = False) -> Features:
        samples = read_sound(value, self.sample_rate, self.max_seconds, random=train)
        if train and self.perturb is not None:
            samples = self.perturb(samples, self.sample_rate)
        if self.normalise:
            samples = samples - samples.mean()
            samples = samples / (samples.var(correction=0) + 1e-7).sqrt()
        return self.cut(samples)

    def cut(self, samples: Float[Tensor, " T"]) -> Features:
        """What each token sees; a sound too short for one is filled with zeros."""
        window, step = self.convolutions.window, self.convolutions.step
        samples = functional.pad(samples, (0, max(0, window - len(samples))))
        count = (len(samples) - window) // step + 1
        whole = functional.pad(samples, (0, step * count + window - 1 - len(samples)))
        rows = whole.unfold(0, self.num_features - 1, step)
        left = (len(samples) - step * torch.arange(count)).clamp_max(self.num_features - 1)
        return Features(torch.cat([left[:, None].float(), rows], 1).mT)

    def make_parameters(self, unembed: bool = False) -> None:
        super().make_parameters(unembed)
        self.embedding = SampleEncoder(self.dim, self.convolutions, self.hide)

    def embed(self, features: Features) -> Float[Tensor, "D N"]:
        """Features as columns, through the convolutions."""
        assert isinstance(self.embedding, SampleEncoder), "build() comes before embed()"
        return self.embedding(features.rows, features.lengths).mT

    def loss(self, predicted: Float[Tensor, "F N"], features: Features) -> Float[Tensor, " N"]:
        """The mean squared error of a token's samples, without their number."""
        return (predicted - features.values)[self.content].square().mean(0)

    @staticmethod
    def examples() -> list[Any]:
        return example_sounds()
