"""Tokens from a spectrogram: its frames or its patches."""

from abc import ABC
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from unitf import Column, Features, Proposal, UserError
from unitf.tokenizer import Canvas, PositionEmbeddingName
from unitf_audio.moments import fit_moments
from unitf_audio.recognised_sounds import propose_frames
from unitf_audio.sound_augmentation import (
    Perturbation,
    SoundAugmentation,
    SpecAugment,
    SpectrumAugmentation,
)
from unitf_audio.sound_tokenizer import SoundTokenizer
from unitf_audio.spectrogram import Spectrogram
from unitf_audio.spectrum_canvas import draw_frames, draw_patches


class SpectralTokenizer(SoundTokenizer, ABC):
    """A tokenizer of a normalised spectrogram; a sound is anything that `read_sound` reads.

    Args:
        dim: D, the width of a token.
        spectrogram: the settings of the spectrogram.
        normalise: whether each band ("bands") or the whole ("global") gets mean 0 and deviation 1
            over the training sounds.
        max_seconds: of a longer sound only this many seconds are read: at a random position in
            training, otherwise in the middle.
        perturb: random changes of the waveform in training.
        mask: random stripes that are hidden in training.
        position_embedding: the position embedding that is added to a token.
        max_tokens: the longest sequence.
        min_seconds: a shorter sound is padded with silence on both sides to this length.
        num_frames: the number of frames of every spectrogram: it is cut or padded at its end.
        fill: the number that pads the frames, before normalisation; None: silence.
        options: further options of Tokenizer (`prefix`).
    """

    def __init__(
        self,
        dim: int,
        spectrogram: Spectrogram | None = None,
        normalise: Literal["bands", "global", "none"] = "bands",
        max_seconds: float | None = None,
        perturb: Perturbation | SoundAugmentation | None = None,
        mask: SpecAugment | SpectrumAugmentation | None = None,
        position_embedding: PositionEmbeddingName = "sinusoidal",
        max_tokens: int | None = None,
        min_seconds: float | None = None,
        num_frames: int | None = None,
        fill: float | None = None,
        **options: Any,
    ) -> None:
        spectrogram = spectrogram or Spectrogram()
        options |= {"position_embedding": position_embedding, "max_tokens": max_tokens}
        super().__init__(dim, spectrogram.sample_rate, max_seconds, perturb, min_seconds, **options)
        if min_seconds is not None and min_seconds > (max_seconds or min_seconds):
            raise UserError(f"min_seconds {min_seconds} are more than max_seconds {max_seconds}")
        self.num_frames = num_frames
        self.fill = fill
        self.spectrogram = spectrogram
        self.normalise = normalise
        self.mask = mask

    def expect_frames(self, least: int) -> None:
        """Refuses a `num_frames` that is too small for one token."""
        if self.num_frames is not None and self.num_frames < least:
            raise UserError(f"num_frames: {self.num_frames}, expected {least} or more")

    def fit(self, values: Iterable[object]) -> None:
        if self.normalise != "none":
            across = (1,) if self.normalise == "bands" else (0, 1)
            self.fitted = fit_moments(values, self.measure, across)

    def measure(self, value: object) -> Float[Tensor, "M T"]:
        """Returns the spectrogram of a sound before normalisation."""
        return self.spectrogram(self.heard(value)[0])

    def spectrum(
        self, samples: Float[Tensor, " samples"], frames: int, step: int, train: bool
    ) -> Float[Tensor, "M T"]:
        """Returns the normalised spectrogram, padded to `num_frames` or to a multiple of steps.

        Args:
            frames: the least number of frames, if there is no `num_frames`.
            step: further frames are added in steps of this number.
        """
        numbers = self.spectrogram(samples)
        length = numbers.shape[1]
        wanted = self.num_frames or frames + max(0, -(-(length - frames) // step)) * step
        if length < wanted:
            filling = self.spectrogram.silence if self.fill is None else torch.tensor([[self.fill]])
            filling = filling.expand(len(numbers), wanted - length)
            numbers = torch.cat([numbers, filling], 1)
        numbers = numbers[:, :wanted]
        if self.fitted:
            numbers = (numbers - self.fitted["mean"]) / self.fitted["std"]
        if not train or self.mask is None:
            return numbers
        return self.mask(numbers, 0.0 if self.fitted else float(numbers.mean()))


class SpectrogramFrames(SpectralTokenizer):
    """Sound as the frames of its spectrogram: each token is k consecutive frames.

    Args:
        frames_per_token: k, the number of frames of a token.
    """

    def __init__(
        self,
        dim: int,
        spectrogram: Spectrogram | None = None,
        frames_per_token: int = 1,
        normalise: Literal["bands", "global", "none"] = "bands",
        max_seconds: float | None = None,
        perturb: Perturbation | SoundAugmentation | None = None,
        mask: SpecAugment | SpectrumAugmentation | None = None,
        position_embedding: PositionEmbeddingName = "sinusoidal",
        max_tokens: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            dim,
            spectrogram,
            normalise,
            max_seconds,
            perturb,
            mask,
            position_embedding,
            max_tokens,
            **options,
        )
        if frames_per_token < 1:
            raise UserError(f"frames_per_token: {frames_per_token}, expected 1 or more")
        self.expect_frames(frames_per_token)
        self.frames_per_token = frames_per_token
        self.num_features = self.spectrogram.num_rows * frames_per_token

    @classmethod
    def recognise(cls, column: Column) -> Proposal | None:
        """Recognises a column of sounds."""
        return propose_frames(column)

    def tokens(self, samples: Float[Tensor, " T"], train: bool) -> Features:
        numbers = self.spectrum(samples, self.frames_per_token, self.frames_per_token, train)
        numbers = numbers[:, : numbers.shape[1] // self.frames_per_token * self.frames_per_token]
        return Features(rearrange(numbers, "m (n k) -> (k m) n", k=self.frames_per_token))

    def canvas(self, features: Features) -> Canvas:
        return draw_frames(features, self.frames_per_token)


class SpectralPatches(SpectralTokenizer):
    """Sound as patches of its spectrogram (Gong et al., 2021), frame by frame, low bands first.

    Args:
        patch_frames: the length of a patch in frames.
        patch_bands: the height of a patch in mel bands.
        frame_step: frames from one patch to the next; None: `patch_frames` (no overlap).
        band_step: bands from one patch to the next; None: `patch_bands`, which must then divide
            `num_mels`.
    """

    num_axes: ClassVar[int] = 2

    def __init__(
        self,
        dim: int,
        spectrogram: Spectrogram | None = None,
        patch_frames: int = 16,
        patch_bands: int = 16,
        frame_step: int | None = None,
        band_step: int | None = None,
        normalise: Literal["bands", "global", "none"] = "bands",
        max_seconds: float | None = None,
        perturb: Perturbation | SoundAugmentation | None = None,
        mask: SpecAugment | SpectrumAugmentation | None = None,
        position_embedding: PositionEmbeddingName = "sinusoidal",
        max_tokens: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            dim,
            spectrogram,
            normalise,
            max_seconds,
            perturb,
            mask,
            position_embedding,
            max_tokens,
            **options,
        )
        rows = self.spectrogram.num_rows
        steps = (frame_step or patch_frames, band_step or patch_bands)
        if min(patch_frames, patch_bands, *steps) < 1 or patch_bands > rows:
            raise UserError(
                f"patches of {patch_frames} frames × {patch_bands} bands every {steps[0]} × "
                f"{steps[1]}, expected numbers from 1, and no more than {rows} bands"
            )
        if band_step is None and rows % patch_bands:
            raise UserError(
                f"patches of {patch_frames} frames × {patch_bands} bands do not divide "
                f"{rows} mel bands"
            )
        self.expect_frames(patch_frames)
        self.patch_frames = patch_frames
        self.patch_bands = patch_bands
        self.frame_step, self.band_step = steps
        self.num_bands = (rows - patch_bands) // self.band_step + 1
        self.num_features = patch_frames * patch_bands

    @property
    def position_shape(self) -> tuple[int, ...] | None:
        if self.max_tokens is None:
            return None
        return (-(-self.max_tokens // self.num_bands), self.num_bands)

    def tokens(self, samples: Float[Tensor, " T"], train: bool) -> Features:
        return self.cut(self.spectrum(samples, self.patch_frames, self.frame_step, train))

    def cut(self, numbers: Float[Tensor, "M T"]) -> Features:
        """Returns the patches of a spectrogram; an incomplete patch at its end is dropped."""
        patches = numbers.unfold(0, self.patch_bands, self.band_step)
        patches = patches.unfold(1, self.patch_frames, self.frame_step)
        frames = torch.arange(patches.shape[1], dtype=torch.float32)
        bands = torch.arange(self.num_bands, dtype=torch.float32)
        return Features(
            rearrange(patches, "b t h w -> (h w) (t b)"), torch.cartesian_prod(frames, bands).mT
        )

    def canvas(self, features: Features) -> Canvas:
        sides = (self.patch_bands, self.patch_frames)
        return draw_patches(features, sides, (self.band_step, self.frame_step))
