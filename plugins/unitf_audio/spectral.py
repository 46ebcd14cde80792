"""Tokens of a spectrogram: its frames, or patches of it."""

from abc import ABC
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from unitf import Features, Tokenizer, UserError
from unitf.tokenizer import Canvas, PositionEmbeddingName
from unitf_audio.augmentation import (
    Perturbation,
    SoundAugmentation,
    SpecAugment,
    SpectrumAugmentation,
)
from unitf_audio.moments import fit_moments
from unitf_audio.sound import example_sounds, read_sound
from unitf_audio.spectrogram import Spectrogram
from unitf_audio.spectrum_canvas import draw_frames, draw_patches


class SpectralTokenizer(Tokenizer, ABC):
    """A tokenizer of a normalised spectrogram; a sound is anything that `read_sound` reads.

    Args:
        dim: D, the width of a token.
        spectrogram: how a sound becomes a spectrogram.
        normalise: whether each band ("bands") or the whole ("global") gets mean 0 and deviation 1
            over the training sounds.
        max_seconds: of a longer sound only so much is read: anywhere in training, else the middle.
        perturb: random changes of the waveform in training.
        mask: random stripes to hide in training.
        position_embedding: what is added to a token for where it stands.
        max_tokens: the longest sequence.
        min_seconds: a shorter sound stands in the middle of so many seconds of silence.
        num_frames: every spectrogram has so many frames: its first, and what is missing filled.
        fill: with this number, before it is normalised; None: with silence.
        options: further ones of every tokenizer (`prefix`).
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
        super().__init__(dim, position_embedding, max_tokens, **options)
        if min_seconds is not None and min_seconds > (max_seconds or min_seconds):
            raise UserError(f"min_seconds {min_seconds} are more than max_seconds {max_seconds}")
        self.min_seconds = min_seconds
        self.num_frames = num_frames
        self.fill = fill
        self.spectrogram = spectrogram or Spectrogram()
        self.normalise = normalise
        self.max_seconds = max_seconds
        self.perturb = perturb
        self.mask = mask

    def expect_frames(self, least: int) -> None:
        """Refuses a `num_frames` below what one token takes."""
        if self.num_frames is not None and self.num_frames < least:
            raise UserError(f"num_frames: {self.num_frames}, expected {least} or more")

    def fit(self, values: Iterable[Any]) -> None:
        if self.normalise != "none":
            across = (1,) if self.normalise == "bands" else (0, 1)
            self.fitted = fit_moments(values, self.measure, across)

    def measure(self, value: Any, train: bool = False) -> Float[Tensor, "M T"]:
        """The spectrogram of a sound, not yet normalised."""
        rate = self.spectrogram.sample_rate
        samples = read_sound(value, rate, self.max_seconds, random=train)
        if train and self.perturb is not None:
            samples = self.perturb(samples, rate)
        if (missing := round((self.min_seconds or 0) * rate) - len(samples)) > 0:
            samples = functional.pad(samples, (missing // 2, missing - missing // 2))
        return self.spectrogram(samples)

    def spectrum(self, value: Any, frames: int, step: int, train: bool) -> Float[Tensor, "M T"]:
        """The normalised spectrogram, of `num_frames` or with silence after it.

        Args:
            frames: without `num_frames`: at least so many, …
            step: … and further ones in steps of so many.
        """
        numbers = self.measure(value, train)
        found = numbers.shape[1]
        wanted = self.num_frames or frames + max(0, -(-(found - frames) // step)) * step
        if found < wanted:
            filling = self.spectrogram.silence if self.fill is None else torch.tensor([[self.fill]])
            filling = filling.expand(len(numbers), wanted - found)
            numbers = torch.cat([numbers, filling], 1)
        numbers = numbers[:, :wanted]
        if self.fitted:
            numbers = (numbers - self.fitted["mean"]) / self.fitted["std"]
        if not train or self.mask is None:
            return numbers
        return self.mask(numbers, 0.0 if self.fitted else float(numbers.mean()))

    @staticmethod
    def examples() -> list[Any]:
        return example_sounds()


class SpectrogramFrames(SpectralTokenizer):
    """Sound as the frames of its spectrogram: a token for each k of them, in their order.

    Args:
        frames_per_token: k, the number of consecutive frames that make a token.
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

    def encode(self, value: Any, train: bool = False) -> Features:
        numbers = self.spectrum(value, self.frames_per_token, self.frames_per_token, train)
        numbers = numbers[:, : numbers.shape[1] // self.frames_per_token * self.frames_per_token]
        return Features(rearrange(numbers, "m (n k) -> (k m) n", k=self.frames_per_token))

    def canvas(self, features: Features) -> Canvas:
        return draw_frames(features, self.frames_per_token)


class SpectralPatches(SpectralTokenizer):
    """Sound as patches of its spectrogram (Gong et al., 2021), frame by frame, low bands first.

    Args:
        patch_frames: length of a patch in frames.
        patch_bands: height of a patch in mel bands.
        frame_step: from one patch to the next; None: `patch_frames`, so that none overlap.
        band_step: the same in bands; None: `patch_bands`, of which `num_mels` is a multiple.
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

    def encode(self, value: Any, train: bool = False) -> Features:
        return self.cut(self.spectrum(value, self.patch_frames, self.frame_step, train))

    def cut(self, numbers: Float[Tensor, "M T"]) -> Features:
        """The patches of a spectrogram; what fills none at its end is left out."""
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
