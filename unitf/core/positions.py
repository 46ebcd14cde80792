"""Relative positions: how attention knows where tokens stand towards each other."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf.core.config import TransformerConfig
from unitf.errors import UserError

Rotation = tuple[Tensor, Tensor]  # cosines and sines, each (N, 1, head_dim / 2)


class NoPositions(nn.Module):
    """Attention knows tokens by their contents alone; the base of the other schemes."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()

    def rotation(self, positions: Float[Tensor, "P N"]) -> Rotation | None:
        """By how much queries and keys are turned before they meet."""
        return None

    @property
    def biased(self) -> bool:
        """Whether `forward` gives something to add to the scores."""
        return False


class RotaryPositions(NoPositions):
    """Pairs of numbers turn with the position (Su et al., 2021), each axis its share of them.

    Numbers i and i + head_dim/2 are a pair, as in GPT-NeoX and Llama. The axes take turns in
    equal runs of pairs; a remainder of pairs stays unturned.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.num_axes = config.position_axes
        self.pairs = config.head_dim // 2
        self.base = config.rotary_base

    def rotation(self, positions: Float[Tensor, "P N"]) -> Rotation | None:
        missing = self.num_axes - positions.shape[0]
        if missing < 0:
            raise UserError(
                f"tokens have {positions.shape[0]} position axes, but the core was configured "
                f"with position_axes {self.num_axes}"
            )
        # an axis that this batch lacks stands at 0
        places = nn.functional.pad(positions.mT, (0, missing))
        share = self.pairs // self.num_axes
        # no buffer: `.bfloat16()` on the module would round it, and angles must not be
        steps = torch.arange(share, dtype=positions.dtype, device=positions.device)
        angles = (places[:, :, None] * self.base ** (-steps / share)).flatten(1)
        angles = nn.functional.pad(angles, (0, self.pairs - angles.shape[1]))[:, None]
        return angles.cos(), angles.sin()


class AlibiPositions(NoPositions):
    """Scores fall linearly with the distance (Press et al., 2022), each head at its own slope.

    Over several axes the distance is the sum of theirs.
    """

    slopes: Tensor

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.register_buffer("slopes", alibi_slopes(config.num_heads), persistent=False)

    @property
    def biased(self) -> bool:
        return True

    def forward(
        self, queries: Float[Tensor, "*S P Lq"], keys: Float[Tensor, "*S P Lk"]
    ) -> Float[Tensor, "*S H Lq Lk"]:
        """What is added to the scores of tokens at these positions."""
        distance = (queries[..., :, None] - keys[..., None, :]).abs().sum(-3)
        return -self.slopes[:, None, None] * distance[..., None, :, :]


def alibi_slopes(num_heads: int) -> Float[Tensor, " H"]:
    """Geometric from 2^(-8/H); H that is no power of two borrows from twice the next lower."""
    power = 2 ** math.floor(math.log2(num_heads))
    slopes = [2 ** (-8 * (i + 1) / power) for i in range(power)]
    extra = [2 ** (-4 * (i + 1) / power) for i in range(0, 2 * power, 2)]
    return torch.tensor(slopes + extra[: num_heads - power])


def rotate(heads: Float[Tensor, "N H d"], rotation: Rotation) -> Float[Tensor, "N H d"]:
    """Every pair of numbers of every head, turned."""
    cosine, sine = (part.to(heads.dtype) for part in rotation)
    first, second = heads.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


_SCHEMES = {"none": NoPositions, "rotary": RotaryPositions, "alibi": AlibiPositions}


def make_positions(config: TransformerConfig) -> NoPositions:
    """Relative positions as `config.positions` says."""
    return _SCHEMES[config.positions](config)
