"""SoundTokenizer: the base of tokenizers of waveforms, which move labels in time with the sound."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from unitf import Features, Tokenizer
from unitf.tokenizer import LocatedTarget, Media
from unitf_audio.shown_sound import shown_sound
from unitf_audio.sound import example_sounds, read_part
from unitf_audio.sound_augmentation import Perturbation, SoundAugmentation, shifted


class SoundTokenizer(Tokenizer, ABC):
    """A tokenizer of a waveform; a sound is anything that `read_sound` reads.

    Args:
        dim: D, the width of a token.
        sample_rate: in Hz; every sound is resampled to it.
        max_seconds: of a longer sound only this many seconds are read: at a random position in
            training, otherwise in the middle.
        perturb: random changes of the waveform in training.
        min_seconds: a shorter sound is padded with silence on both sides to this length.
        options: further options of Tokenizer.
    """

    def __init__(
        self,
        dim: int,
        sample_rate: int,
        max_seconds: float | None = None,
        perturb: Perturbation | SoundAugmentation | None = None,
        min_seconds: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(dim, **options)
        self.sample_rate = sample_rate
        self.max_seconds = max_seconds
        self.min_seconds = min_seconds
        self.perturb = perturb
        self.moves: bool = max_seconds is not None or (perturb is not None and perturb.moves)

    @abstractmethod
    def tokens(self, samples: Float[Tensor, " T"], train: bool) -> Features:
        """Returns the features of a waveform that is read, changed and padded already."""

    def encode(self, value: object, train: bool = False) -> Features:
        """Encodes a sound."""
        return self.encode_located(value, [], train)[0]

    def encode_located(
        self, value: object, targets: Sequence[LocatedTarget], train: bool = False
    ) -> tuple[Features, list[LocatedTarget]]:
        """Encodes a sound, and moves stretches of time as the sound is cut, shifted and sped up."""
        samples, moved = self.heard(value, targets, train)
        return self.tokens(samples, train), moved

    def heard(
        self, value: object, targets: Sequence[LocatedTarget] = (), train: bool = False
    ) -> tuple[Float[Tensor, " T"], list[LocatedTarget]]:
        """Returns the waveform that is encoded, and what is located in it."""
        rate = self.sample_rate
        samples, start = read_part(value, rate, self.max_seconds, random=train)
        moved = [shifted(target, -start, len(samples) / rate) for target in targets]
        if train and self.perturb is not None:
            samples, moved = self.perturb.move(samples, rate, moved)
        if (missing := round((self.min_seconds or 0) * rate) - len(samples)) > 0:
            samples = functional.pad(samples, (missing // 2, missing - missing // 2))
            moved = [shifted(t, missing // 2 / rate, len(samples) / rate) for t in moved]
        return samples, moved

    def show(self, value: object) -> Media:
        """Returns a sound for a player."""
        return shown_sound(value, self.sample_rate)

    @staticmethod
    def examples() -> list[object]:
        """Returns small sounds of several kinds for the checks of plugins."""
        return example_sounds()
