"""Relative positions: how attention depends on the positions of tokens."""

import math
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from unitf.core import named
from unitf.core.config import TransformerConfig
from unitf.errors import UserError
from unitf.nn.typed import orthogonal

Rotation = tuple[Tensor, Tensor]  # cosines and sines, each (N, 1, pairs), or of each head


class RelativePositions(nn.Module):
    """How attention depends on the positions of tokens; the base class of all schemes.

    A subclass implements `rotation`, or `forward` with `biased`, or both. The core calls
    `cls(config, causal, **init_args)`, where `causal` says that no token sees a later one.
    """

    per_block: ClassVar[bool] = False  # whether each block has its own module
    biased: ClassVar[bool] = False  # whether `forward` returns a bias of the scores

    def rotation(self, positions: Float[Tensor, "P N"]) -> Rotation | None:
        """Returns cosines and sines that turn queries and keys, each (N, 1 or H, pairs)."""
        return None

    def forward(
        self, queries: Float[Tensor, "*S P Lq"], keys: Float[Tensor, "*S P Lk"]
    ) -> Float[Tensor, "*S H Lq Lk"]:
        """Returns the bias of the scores of queries and keys at these positions."""
        raise NotImplementedError


class NoPositions(RelativePositions):
    """No positions: attention depends on the contents of the tokens alone."""

    def __init__(self, config: TransformerConfig, causal: bool = False) -> None:
        super().__init__()


class RotaryPositions(RelativePositions):
    """Pairs of numbers turn with the position (Su et al., 2021), an equal number for each axis.

    Numbers i and i + rotary_dim/2 are a pair, as in GPT-NeoX and Llama. The first pairs turn with
    the first axis, the next ones with the second axis, and so on; the pairs that are left over do
    not turn.
    """

    def __init__(self, config: TransformerConfig, causal: bool = False) -> None:
        super().__init__()
        self.num_axes: int = config.position_axes
        rotary_dim = config.head_dim if config.rotary_dim is None else config.rotary_dim
        self.pairs: int = rotary_dim // 2
        self.base: float = config.rotary_base
        self.frequencies: list[float] | None = config.rotary_frequencies

    def rotation(self, positions: Float[Tensor, "P N"]) -> Rotation | None:
        """Returns cosines and sines, (N, 1, pairs) each."""
        axis_positions = _with_axes(positions, self.num_axes, "position_axes").mT
        angles = (axis_positions[:, :, None] * self._frequencies(positions)).flatten(1)
        angles = F.pad(angles, (0, self.pairs - angles.shape[1]))[:, None]
        return angles.cos(), angles.sin()

    def _frequencies(self, like: Tensor) -> Float[Tensor, "_ pairs"]:
        """Returns the angles per position, of each axis or the same for all axes."""
        # no buffer: `.bfloat16()` on the module would round it, and angles must not be
        pairs_per_axis = self.pairs // self.num_axes
        if self.frequencies is not None:
            frequencies = torch.tensor(self.frequencies, dtype=like.dtype)
            return frequencies.view(self.num_axes, pairs_per_axis).to(
                like.device, non_blocking=True
            )
        steps = torch.arange(pairs_per_axis, dtype=like.dtype, device=like.device)
        return (1.0 / self.base ** (steps / pairs_per_axis))[None]  # bit for bit as Llama


class MixedRotaryPositions(RelativePositions):
    """Pairs of numbers turn with all axes at once, by learned angles (Heo et al., 2024).

    Each head has its own angles. Initially they are those of rotary positions whose axes are turned
    by a random rotation for each head.
    """

    per_block: ClassVar[bool] = True

    def __init__(self, config: TransformerConfig, causal: bool = False) -> None:
        super().__init__()
        self.num_axes: int = config.position_axes
        pairs_per_axis = config.head_dim // 2 // config.position_axes
        length = config.rotary_base ** (-torch.arange(pairs_per_axis) / pairs_per_axis)
        matrices = torch.randn(config.num_heads, self.num_axes, self.num_axes)
        axes = orthogonal(matrices)
        angles = (axes[..., None] * length).flatten(2)  # (H, P, pairs)
        rest = config.head_dim // 2 - angles.shape[2]
        self.angles: nn.Parameter = nn.Parameter(
            F.pad(angles, (0, rest)).transpose(0, 1).contiguous()
        )

    def rotation(self, positions: Float[Tensor, "P N"]) -> Rotation | None:
        """Returns cosines and sines, (N, H, pairs) each."""
        axis_positions = _with_axes(positions, self.num_axes, "position_axes")
        learned = self.angles.to(axis_positions.dtype)
        angles = (axis_positions[:, :, None, None] * learned[:, None]).sum(0)  # (N, H, pairs)
        return angles.cos(), angles.sin()


class AlibiPositions(RelativePositions):
    """Scores fall linearly with the distance, each head with its own slope (Press et al., 2022).

    Over several axes, the distance is the sum of the distances of the axes.
    """

    biased: ClassVar[bool] = True
    slopes: Tensor

    def __init__(self, config: TransformerConfig, causal: bool = False) -> None:
        super().__init__()
        self.register_buffer("slopes", alibi_slopes(config.num_heads), persistent=False)

    def forward(
        self, queries: Float[Tensor, "*S P Lq"], keys: Float[Tensor, "*S P Lk"]
    ) -> Float[Tensor, "*S H Lq Lk"]:
        """Returns the bias of the scores of queries and keys at these positions."""
        distance = (queries[..., :, None] - keys[..., None, :]).abs().sum(-3)
        return -self.slopes[:, None, None] * distance[..., None, :, :]


def alibi_slopes(num_heads: int) -> Float[Tensor, " H"]:
    """Returns a geometric sequence of slopes that begins with 2^(-8/H).

    If H is not a power of two, the remaining slopes are every second one of twice the next lower
    power.
    """
    power = 2 ** math.floor(math.log2(num_heads))
    slopes = [2 ** (-8 * (i + 1) / power) for i in range(power)]
    extra = [2 ** (-4 * (i + 1) / power) for i in range(0, 2 * power, 2)]
    return torch.tensor(slopes + extra[: num_heads - power])


class T5Positions(RelativePositions):
    """A learned number for each head and range of distances (T5: Raffel et al., 2020).

    Half of the ranges hold one distance each, the others grow logarithmically. A causal stack has
    no ranges for later tokens. Only the first of several axes is used.
    """

    biased: ClassVar[bool] = True

    def __init__(self, config: TransformerConfig, causal: bool = False) -> None:
        super().__init__()
        self.causal: bool = causal
        self.num_buckets: int = config.num_buckets
        self.max_distance: int = config.max_distance
        self.table: nn.Embedding = nn.Embedding(config.num_buckets, config.num_heads)

    def forward(
        self, queries: Float[Tensor, "*S P Lq"], keys: Float[Tensor, "*S P Lk"]
    ) -> Float[Tensor, "*S H Lq Lk"]:
        """Returns the bias of the scores of queries and keys at these positions."""
        return _looked_up(self.table, self.bucket(keys[..., 0, None, :] - queries[..., 0, :, None]))

    def bucket(self, ahead: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """Returns the row of the table for keys that stand `ahead` positions after the query."""
        buckets = self.num_buckets if self.causal else self.num_buckets // 2
        distance = -ahead.clamp(max=0) if self.causal else ahead.abs()
        exact = buckets // 2
        # in float32, as T5: otherwise distances at the edge of a range would fall into the next
        growth = torch.log(distance.float().clamp(min=exact) / exact)
        steps = growth / math.log(self.max_distance / exact) * (buckets - exact)
        far = (exact + steps.long()).clamp(max=buckets - 1)
        bucket = torch.where(distance < exact, distance.long(), far)
        return bucket if self.causal else bucket + (ahead > 0) * buckets


class BeitPositions(RelativePositions):
    """A learned number for each head and (row, column) distance (BEiT: Bao et al., 2022).

    Tokens whose row is negative are outside the grid (class tokens). Three more numbers are for
    such a query and a patch, a patch and such a key, and a query and a key that are both outside.
    Distances that are larger than the grid count as its largest.
    """

    per_block: ClassVar[bool] = True
    biased: ClassVar[bool] = True

    def __init__(self, config: TransformerConfig, causal: bool = False) -> None:
        super().__init__()
        assert config.grid is not None
        self.size: list[int] = config.grid
        height, width = (2 * length - 1 for length in self.size)
        self.table: nn.Embedding = nn.Embedding(height * width + 3, config.num_heads)

    def forward(
        self, queries: Float[Tensor, "*S P Lq"], keys: Float[Tensor, "*S P Lk"]
    ) -> Float[Tensor, "*S H Lq Lk"]:
        """Returns the bias of the scores of queries and keys at these positions."""
        queries, keys = (
            _with_axes(positions, 2, "a grid, whose axes are") for positions in (queries, keys)
        )
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
    """Returns the heads with their pairs of numbers turned; numbers that no pair holds stay."""
    cosine, sine = (part.to(heads.dtype) for part in rotation)
    turned = 2 * cosine.shape[-1]
    rest = [heads[..., turned:]] if turned < heads.shape[-1] else []
    first, second = heads[..., :turned].chunk(2, dim=-1)
    parts = [first * cosine - second * sine, second * cosine + first * sine]
    return torch.cat(parts + rest, dim=-1)


def _with_axes(
    positions: Float[Tensor, "*S P N"], num_axes: int, name: str
) -> Float[Tensor, "*S P2 N"]:
    """Returns the positions with `num_axes` axes; those that the batch lacks are 0.

    Raises:
        UserError: the batch has more axes.
    """
    missing = num_axes - positions.shape[-2]
    if missing < 0:
        raise UserError(
            f"tokens have {positions.shape[-2]} position axes, but the core was configured "
            f"with {name} {num_axes}"
        )
    return F.pad(positions, (0, 0, 0, missing)) if missing else positions


def make_positions(config: TransformerConfig, causal: bool = False) -> RelativePositions:
    """Returns the relative-position module that all blocks of a stack share."""
    if _per_block(config):
        return NoPositions(config, causal)
    return named.make(
        RelativePositions, "relative_positions", config.relative_positions, config, causal
    )


def make_positions_per_block(
    config: TransformerConfig, num_blocks: int, causal: bool = False
) -> list[RelativePositions]:
    """Returns the relative-position modules of the blocks: one for each, or none at all."""
    if not _per_block(config):
        return []
    return [
        named.make(
            RelativePositions, "relative_positions", config.relative_positions, config, causal
        )
        for _ in range(num_blocks)
    ]


def _per_block(config: TransformerConfig) -> bool:
    scheme = named.class_of("relative_positions", config.relative_positions)
    return issubclass(scheme, RelativePositions) and scheme.per_block
