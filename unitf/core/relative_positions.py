"""Relative positions: how attention knows where tokens stand towards each other."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from unitf.core.config import TransformerConfig
from unitf.errors import UserError

Rotation = tuple[Tensor, Tensor]  # cosines and sines, each (N, 1, pairs), or of each head


class NoPositions(nn.Module):
    """Attention knows tokens by their contents alone; the base of the other schemes."""

    def __init__(self, config: TransformerConfig, causal: bool = False) -> None:
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

    Numbers i and i + rotary_dim/2 are a pair, as in GPT-NeoX and Llama. The axes take turns in
    equal runs of pairs; a remainder of pairs stays unturned.
    """

    def __init__(self, config: TransformerConfig, causal: bool = False) -> None:
        super().__init__(config)
        self.num_axes = config.position_axes
        self.pairs = (config.head_dim if config.rotary_dim is None else config.rotary_dim) // 2
        self.base = config.rotary_base
        self.frequencies = config.rotary_frequencies

    def rotation(self, positions: Float[Tensor, "P N"]) -> Rotation | None:
        axis_positions = _with_axes(positions, self.num_axes, "position_axes").mT
        angles = (axis_positions[:, :, None] * self._frequencies(positions)).flatten(1)
        angles = F.pad(angles, (0, self.pairs - angles.shape[1]))[:, None]
        return angles.cos(), angles.sin()

    def _frequencies(self, like: Tensor) -> Float[Tensor, "_ share"]:
        """Angles per position: of each axis, or the same for all."""
        # no buffer: `.bfloat16()` on the module would round it, and angles must not be
        pairs_per_axis = self.pairs // self.num_axes
        if self.frequencies is not None:
            given = torch.tensor(self.frequencies, dtype=like.dtype).view(
                self.num_axes, pairs_per_axis
            )
            return given.to(like.device, non_blocking=True)
        steps = torch.arange(pairs_per_axis, dtype=like.dtype, device=like.device)
        return (1.0 / self.base ** (steps / pairs_per_axis))[None]  # so, for the last bit, as Llama


class MixedRotaryPositions(NoPositions):
    """Pairs of numbers turn with all axes at once, by learned angles (Heo et al., 2024).

    Each head has its own. They begin as those of rotary positions whose axes are turned in the
    plane, each head at random.
    """

    def __init__(self, config: TransformerConfig, causal: bool = False) -> None:
        super().__init__(config)
        self.num_axes, pairs_per_axis = (
            config.position_axes,
            config.head_dim // 2 // config.position_axes,
        )
        length = config.rotary_base ** (-torch.arange(pairs_per_axis) / pairs_per_axis)
        axes = torch.linalg.qr(torch.randn(config.num_heads, self.num_axes, self.num_axes)).Q
        angles = (axes[..., None] * length).flatten(2)  # (H, P, pairs)
        rest = config.head_dim // 2 - angles.shape[2]
        self.angles = nn.Parameter(F.pad(angles, (0, rest)).transpose(0, 1).contiguous())

    def rotation(self, positions: Float[Tensor, "P N"]) -> Rotation | None:
        axis_positions = _with_axes(positions, self.num_axes, "position_axes")
        learned = self.angles.to(axis_positions.dtype)
        angles = (axis_positions[:, :, None, None] * learned[:, None]).sum(0)  # (N, H, pairs)
        return angles.cos(), angles.sin()


class AlibiPositions(NoPositions):
    """Scores fall linearly with the distance (Press et al., 2022), each head at its own slope.

    Over several axes the distance is the sum of theirs.
    """

    slopes: Tensor

    def __init__(self, config: TransformerConfig, causal: bool = False) -> None:
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


class T5Positions(NoPositions):
    """A learned number for each head and range of distances (T5: Raffel et al., 2020).

    Half of the ranges are one distance each, the others grow logarithmically. A causal stack has
    none for what comes later. Of several axes the first is read.
    """

    def __init__(self, config: TransformerConfig, causal: bool = False) -> None:
        super().__init__(config)
        self.causal = causal
        self.num_buckets, self.max_distance = config.num_buckets, config.max_distance
        self.table = nn.Embedding(config.num_buckets, config.num_heads)

    @property
    def biased(self) -> bool:
        return True

    def forward(
        self, queries: Float[Tensor, "*S P Lq"], keys: Float[Tensor, "*S P Lk"]
    ) -> Float[Tensor, "*S H Lq Lk"]:
        """What is added to the scores of tokens at these positions."""
        return _looked_up(self.table, self.bucket(keys[..., 0, None, :] - queries[..., 0, :, None]))

    def bucket(self, ahead: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """The row of the table for a key that stands so far ahead of the query."""
        buckets = self.num_buckets if self.causal else self.num_buckets // 2
        distance = -ahead.clamp(max=0) if self.causal else ahead.abs()
        exact = buckets // 2
        # in float32, as T5: else distances at the edge of a range would fall into the next
        growth = torch.log(distance.float().clamp(min=exact) / exact)
        steps = growth / math.log(self.max_distance / exact) * (buckets - exact)
        far = (exact + steps.long()).clamp(max=buckets - 1)
        bucket = torch.where(distance < exact, distance.long(), far)
        return bucket if self.causal else bucket + (ahead > 0) * buckets


class BeitPositions(NoPositions):
    """A learned number for each head and (row, column) distance (BEiT: Bao et al., 2022).

    Tokens whose row is negative stand outside the grid (class tokens): three more numbers are for
    one of them that looks at a patch, a patch that looks at one, and two of them. Distances beyond
    the grid's are as its largest.
    """

    def __init__(self, config: TransformerConfig, causal: bool = False) -> None:
        super().__init__(config)
        assert config.grid is not None
        self.size = config.grid
        height, width = (2 * length - 1 for length in self.size)
        self.table = nn.Embedding(height * width + 3, config.num_heads)

    @property
    def biased(self) -> bool:
        return True

    def forward(
        self, queries: Float[Tensor, "*S P Lq"], keys: Float[Tensor, "*S P Lk"]
    ) -> Float[Tensor, "*S H Lq Lk"]:
        """What is added to the scores of tokens at these positions."""
        queries, keys = (_with_axes(x, 2, "a grid, whose axes are") for x in (queries, keys))
        difference = (queries[..., :, None] - keys[..., None, :]).round()
        row, column = (
            difference[..., axis, :, :].clamp(1 - length, length - 1) + length - 1
            for axis, length in enumerate(self.size)
        )
        index = (row * (2 * self.size[1] - 1) + column).long()
        outside, others_outside = queries[..., 0, :, None] < 0, keys[..., 0, None, :] < 0
        last = self.table.num_embeddings - 1
        index = torch.where(outside, last - 2, index)
        index = torch.where(others_outside, last - 1, index)
        return _looked_up(self.table, torch.where(outside & others_outside, last, index))


def _looked_up(table: nn.Embedding, index: Int[Tensor, "*S Lq Lk"]) -> Float[Tensor, "*S H Lq Lk"]:
    return table(index).movedim(-1, -3).contiguous()


def rotate(heads: Float[Tensor, "N H d"], rotation: Rotation) -> Float[Tensor, "N H d"]:
    """Every pair of numbers of every head, turned."""
    cosine, sine = (part.to(heads.dtype) for part in rotation)
    turned = 2 * cosine.shape[-1]
    rest = [heads[..., turned:]] if turned < heads.shape[-1] else []
    first, second = heads[..., :turned].chunk(2, dim=-1)
    parts = [first * cosine - second * sine, second * cosine + first * sine]
    return torch.cat(parts + rest, dim=-1)


def _with_axes(
    positions: Float[Tensor, "*S P N"], num_axes: int, name: str
) -> Float[Tensor, "*S P2 N"]:
    """An axis that this batch lacks stands at 0; one too many is an error."""
    missing = num_axes - positions.shape[-2]
    if missing < 0:
        raise UserError(
            f"tokens have {positions.shape[-2]} position axes, but the core was configured "
            f"with {name} {num_axes}"
        )
    return F.pad(positions, (0, 0, 0, missing)) if missing else positions


_SHARED = {"rotary": RotaryPositions, "alibi": AlibiPositions, "t5": T5Positions}
_OWN = {"beit": BeitPositions, "rope_mixed": MixedRotaryPositions}


def make_positions(config: TransformerConfig, causal: bool = False) -> NoPositions:
    """The relative positions that all blocks of a stack share, as `relative_positions` says."""
    return _SHARED.get(config.relative_positions, NoPositions)(config, causal)


def make_positions_per_block(config: TransformerConfig, num_blocks: int) -> list[NoPositions]:
    """Those that each block has for itself: one for each, or none at all."""
    if config.relative_positions not in _OWN:
        return []
    return [_OWN[config.relative_positions](config) for _ in range(num_blocks)]
