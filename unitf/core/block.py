"""Block: the part of a Transformer that is repeated."""

from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from unitf.core.attention.attention import CrossAttention, SelfAttention
from unitf.core.attention.context import BlockContext
from unitf.core.auxiliary import Auxiliary, AuxiliaryLoss, Figure
from unitf.core.config import TransformerConfig
from unitf.core.feedforward import make_feedforward
from unitf.core.residual import make_residual
from unitf.errors import UserError

BlockOutput = Tensor | tuple[Tensor, Auxiliary]  # (R, D), and what else there is


class Block(nn.Module):
    """Attention, perhaps attention to a memory, and feed-forward, each a residual.

    Args:
        first: no other block comes before this one.
    """

    def __init__(self, config: TransformerConfig, cross: bool = False, first: bool = False) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.attention_residual = make_residual(config, normed=config.first_norm or not first)
        self.cross = None
        if cross:
            self.cross = CrossAttention(config)
            self.cross_residual = make_residual(config)
        self.feedforward = make_feedforward(config)
        if config.residual != "parallel_shared":
            self.feedforward_residual = make_residual(config)

    def forward(
        self,
        rows: Float[Tensor, "N D"],
        context: BlockContext,
        keep: Float[Tensor, "3 N 1"] | None = None,
    ) -> BlockOutput:
        """`keep` scales what each of the layers adds to each token (drop path).

        R is N, but for the last block, where `context.read` may want fewer rows. What the
        feed-forward returns beside its rows comes with them.
        """
        auxiliary: dict[str, AuxiliaryLoss | Figure] = {}
        keeps = (None, None, None) if keep is None else keep.unbind(0)
        rows = self.attention_residual(
            rows,
            partial(self.attention, kernel=context.attend, rotation=context.rotation),
            keeps[0],
        )
        if self.cross is not None:
            rows = self.cross_residual(
                rows,
                partial(self.cross, memory=context.memory, kernel=context.attend_memory),
                keeps[1],
            )
        rows, kept = _wanted(context, rows, keeps[2])
        rows = self.feedforward_residual(rows, partial(self.computed, auxiliary), kept)
        return (rows, auxiliary) if auxiliary else rows

    def computed(
        self, auxiliary: dict[str, AuxiliaryLoss | Figure], rows: Float[Tensor, "N D"]
    ) -> Float[Tensor, "N D"]:
        """The rows that the feed-forward returns; what else it returns goes into `auxiliary`."""
        output = self.feedforward(rows)
        if not isinstance(output, tuple):
            return output
        if not self.feedforward.has_auxiliary:
            name = type(self.feedforward).__name__
            raise UserError(f"{name} returns more than rows: expected has_auxiliary = True with it")
        auxiliary.update(output[1])
        return output[0]


class ParallelBlock(Block):
    """Attention and feed-forward read the same columns, and both add to them (Wang, 2021)."""

    def forward(
        self,
        rows: Float[Tensor, "N D"],
        context: BlockContext,
        keep: Float[Tensor, "3 N 1"] | None = None,
    ) -> BlockOutput:
        auxiliary: dict[str, AuxiliaryLoss | Figure] = {}
        keeps = (None, None, None) if keep is None else keep.unbind(0)
        first, second = self.attention_residual, self.feedforward_residual
        attended = self.attention(first.norm(rows), context.attend, context.rotation)
        rows, attended, *kept = _wanted(context, rows, attended, keeps[0], keeps[2])
        computed = self.computed(auxiliary, second.norm(rows))
        rows = rows + first.added(attended, kept[0]) + second.added(computed, kept[1])
        return (rows, auxiliary) if auxiliary else rows


class SharedNormBlock(Block):
    """Both read the columns after one and the same norm, and share its layer scale."""

    def forward(
        self,
        rows: Float[Tensor, "N D"],
        context: BlockContext,
        keep: Float[Tensor, "3 N 1"] | None = None,
    ) -> BlockOutput:
        auxiliary: dict[str, AuxiliaryLoss | Figure] = {}
        keeps = (None, None, None) if keep is None else keep.unbind(0)
        residual = self.attention_residual
        normed = residual.norm(rows)
        attended = self.attention(normed, context.attend, context.rotation)
        rows, normed, attended, *kept = _wanted(context, rows, normed, attended, keeps[0], keeps[2])
        computed = self.computed(auxiliary, normed)
        rows = rows + residual.added(attended, kept[0]) + residual.added(computed, kept[1])
        return (rows, auxiliary) if auxiliary else rows


def _wanted(context: BlockContext, *parts: Any) -> list[Any]:
    """Of rows (N, …) those that are wanted."""
    if context.output_columns is None:
        return list(parts)
    return [
        part if part is None else part.index_select(0, context.output_columns) for part in parts
    ]


_BLOCKS = {"sequential": Block, "parallel": ParallelBlock, "parallel_shared": SharedNormBlock}


def make_blocks(config: TransformerConfig, depth: int, cross: bool) -> list[Block]:
    """The blocks whose parameters differ: `depth`, or one that is used so often."""
    block = _BLOCKS[config.residual]
    return [
        block(config, cross, first=number == 0)
        for number in range(1 if config.share_blocks else depth)
    ]
