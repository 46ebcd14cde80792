"""LogMelFrames: the input of Whisper, a log-mel spectrogram and two convolutions."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from unitf import Features, Tokenizer, UserError
from unitf.tokenizer import Canvas, Media, PositionEmbeddingName, initialise
from unitf_audio.shown_sound import shown_sound
from unitf_audio.sound import example_sounds, read_sound
from unitf_audio.spectrum_canvas import draw_frames


class LogMelFrames(Tokenizer):
    """Sound as pairs of log-mel frames, embedded by two convolutions (Radford et al., 2023).

    The spectrogram is Whisper's: powers below 10^-8 of a sound's highest power count as silence,
    and the numbers lie approximately between -1 and 1. A sound is anything that `read_sound` reads.

    Args:
        dim: D, the width of a token.
        num_mels: the number of mel bands up to 8 kHz.
        sample_rate: in Hz; every sound is resampled to it.
        window: the number of samples of a frame.
        hop: the number of samples from one frame to the next; a token is two frames.
        pad: whether silence fills a sound up to `max_tokens`, as in Whisper's training.
        position_embedding: the position embedding that is added to a token.
        max_tokens: longer sounds are cut; 1,500 tokens are 30 seconds.
        options: further options of Tokenizer.
    """

    def __init__(
        self,
        dim: int,
        num_mels: int = 80,
        sample_rate: int = 16_000,
        window: int = 400,
        hop: int = 160,
        pad: bool = True,
        position_embedding: PositionEmbeddingName = "fixed",
        max_tokens: int = 1_500,
        **options: Any,
    ) -> None:
        super().__init__(dim, position_embedding, max_tokens, **options)
        for name, value in {"num_mels": num_mels, "window": window, "hop": hop}.items():
            if value < 1:
                raise UserError(f"{name}: expected 1 or more, found {value}")
        self.num_mels = num_mels
        self.sample_rate = sample_rate
        self.window = window
        self.hop = hop
        self.pad = pad
        self.longest = max_tokens
        self.num_features = 2 * num_mels

    def encode(self, value: object, train: bool = False) -> Features:
        samples = read_sound(value, self.sample_rate)[: self.longest * 2 * self.hop]
        num_tokens = self.longest if self.pad else -(-len(samples) // (2 * self.hop))
        # half a window is mirrored at both ends, which needs at least that many samples
        num_tokens = max(num_tokens, self.window // 2 // (2 * self.hop) + 1)
        samples = functional.pad(samples, (0, num_tokens * 2 * self.hop - len(samples)))
        return Features(rearrange(self.spectrum(samples), "m (n k) -> (k m) n", k=2))

    def show(self, value: object) -> Media:
        """Returns a sound for a player."""
        return shown_sound(value, self.sample_rate)

    def canvas(self, features: Features) -> Canvas:
        return draw_frames(features, 2)

    def spectrum(self, samples: Float[Tensor, " T"]) -> Float[Tensor, "M frames"]:
        """Returns the log powers of a sound, one frame for each hop."""
        shape = torch.hann_window(self.window)
        waves = torch.stft(samples, self.window, self.hop, window=shape, return_complex=True)
        power = waves[..., :-1].abs().square()
        mels = _filters(self.num_mels, self.window, self.sample_rate) @ power
        logarithms = mels.clamp_min(1e-10).log10()
        return (torch.maximum(logarithms, logarithms.max() - 8.0) + 4.0) / 4.0

    def make_parameters(self, unembed: bool = False) -> None:
        super().make_parameters(unembed)
        self.embedding = Convolutions(self.num_mels, self.dim)

    def embed(self, features: Features) -> Float[Tensor, "D N"]:
        """Turns features into columns with the convolutions."""
        assert isinstance(self.embedding, Convolutions), "build() comes before embed()"
        return self.embedding(features.rows, features.lengths).mT

    @staticmethod
    def examples() -> list[object]:
        """Returns small sounds of several kinds for the checks of plugins."""
        return example_sounds()


class Convolutions(nn.Module):
    """Two convolutions over the frames of each sequence; the second has stride 2."""

    def __init__(self, num_mels: int, dim: int) -> None:
        super().__init__()
        self.num_mels = num_mels
        self.first = nn.Conv1d(num_mels, dim, kernel_size=3, padding=1)
        self.second = nn.Conv1d(dim, dim, kernel_size=3, stride=2, padding=1)
        initialise(self)

    def forward(self, rows: Float[Tensor, "N F"], lengths: Sequence[int]) -> Float[Tensor, "N D"]:
        equal = len(set(lengths)) == 1 and lengths[0] > 0
        parts = [part for part in rows.split(list(lengths)) if len(part)]
        if equal:
            batch = rows.unflatten(0, (len(lengths), -1))
        elif parts:  # a convolution pads with zeros anyway
            batch = nn.utils.rnn.pad_sequence(parts, batch_first=True)
        else:  # without frames the layers still run, so that each parameter has a gradient
            batch = rows.new_zeros(1, 1, rows.shape[1])
        frames = rearrange(batch, "s n (k m) -> s m (n k)", m=self.num_mels)
        hidden = functional.gelu(self.first(frames))
        columns = functional.gelu(self.second(hidden)).mT
        if equal:
            return columns.flatten(0, 1)
        if not parts:
            return columns[0, :0]
        return torch.cat([c[: len(part)] for c, part in zip(columns, parts, strict=True)])


@lru_cache(maxsize=16)
def _filters(num_mels: int, window: int, sample_rate: int) -> Float[Tensor, "M bins"]:
    """Returns Slaney's mel filters of area 1 up to 8 kHz."""
    from torchaudio.functional import melscale_fbanks

    high = min(8_000.0, sample_rate / 2)
    bins = window // 2 + 1
    filters = melscale_fbanks(bins, 0.0, high, num_mels, sample_rate, "slaney", "slaney")
    return filters.T.contiguous()
