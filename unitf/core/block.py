"""Block: the part of a Transformer that is repeated."""

from functools import partial
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor, nn

from unitf.core.attention.attention import CrossAttention, SelfAttention
from unitf.core.attention.context import BlockContext
from unitf.core.auxiliary import Auxiliary, AuxiliaryLoss, Figure
from unitf.core.config import TransformerConfig
from unitf.core.feedforward import FeedForward, make_feedforward
from unitf.core.residual import PreNorm, make_residual
from unitf.errors import UserError

BlockOutput = Tensor | tuple[Tensor, Auxiliary]  # rows (R, D), and perhaps auxiliary terms


class Block(nn.Module):
    """Attention, perhaps attention to a memory, and a feed-forward, each with a residual.

    Args:
        cross: whether the block attends to a memory too.
        first: whether it is the first block of its stack.
    """

    if TYPE_CHECKING:

        def __call__(
            self, rows: Tensor, context: BlockContext, keep: Tensor | None = None
        ) -> BlockOutput: ...

    def __init__(self, config: TransformerConfig, cross: bool = False, first: bool = False) -> None:
        super().__init__()
        self.attention: SelfAttention = SelfAttention(config)
        self.attention_residual: PreNorm = make_residual(
            config, normed=config.first_norm or not first
        )
        self.cross: CrossAttention | None = None
        if cross:
            self.cross = CrossAttention(config)
            self.cross_residual: PreNorm = make_residual(config)
        self.feedforward: FeedForward = make_feedforward(config)
        if config.residual != "parallel_shared":
            self.feedforward_residual: PreNorm = make_residual(config)

    def forward(
        self,
        rows: Float[Tensor, "N D"],
        context: BlockContext,
        keep: Float[Tensor, "3 N 1"] | None = None,
    ) -> BlockOutput:
        """Returns the rows (R, D), and what the feed-forward returns beside its rows.

        R is N, unless `context.output_columns` selects the rows of the last block.

        Args:
            keep: the factors of what each of the three layers adds to each token (drop path).
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
        rows = _select(context, rows)
        kept = _select_optional(context, keeps[2])
        rows = self.feedforward_residual(rows, partial(self.computed, auxiliary), kept)
        return (rows, auxiliary) if auxiliary else rows

    def computed(
        self, auxiliary: dict[str, AuxiliaryLoss | Figure], rows: Float[Tensor, "N D"]
    ) -> Float[Tensor, "N D"]:
        """Returns the rows of the feed-forward; its other outputs are added to `auxiliary`.

        Raises:
            UserError: it has other outputs, but no `has_auxiliary`.
        """
        output = self.feedforward(rows)
        if not isinstance(output, tuple):
            return output
        if not self.feedforward.has_auxiliary:
            name = type(self.feedforward).__name__
            raise UserError(f"{name} returns more than rows: expected has_auxiliary = True with it")
        auxiliary.update(output[1])
        return output[0]


class ParallelBlock(Block):
    """A block whose attention and feed-forward read the same columns (Wang, 2021)."""

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
        rows, attended = _select(context, rows), _select(context, attended)
        kept = [_select_optional(context, factors) for factors in (keeps[0], keeps[2])]
        computed = self.computed(auxiliary, second.norm(rows))
        rows = rows + first.added(attended, kept[0]) + second.added(computed, kept[1])
        return (rows, auxiliary) if auxiliary else rows


class SharedNormBlock(Block):
    """A parallel block with one norm and one layer scale for attention and feed-forward."""

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
        rows, normed, attended = (_select(context, each) for each in (rows, normed, attended))
        kept = [_select_optional(context, factors) for factors in (keeps[0], keeps[2])]
        computed = self.computed(auxiliary, normed)
        rows = rows + residual.added(attended, kept[0]) + residual.added(computed, kept[1])
        return (rows, auxiliary) if auxiliary else rows


def _select(context: BlockContext, rows: Float[Tensor, "N ..."]) -> Float[Tensor, "R ..."]:
    """Returns the rows that the block shall return."""
    if context.output_columns is None:
        return rows
    return rows.index_select(0, context.output_columns)


def _select_optional(context: BlockContext, rows: Tensor | None) -> Tensor | None:
    return None if rows is None else _select(context, rows)


_BLOCKS: dict[str, type[Block]] = {
    "sequential": Block,
    "parallel": ParallelBlock,
    "parallel_shared": SharedNormBlock,
}


def make_blocks(config: TransformerConfig, depth: int, cross: bool) -> list[Block]:
    """Returns `depth` blocks, or one block if `share_blocks` is set."""
    block = _BLOCKS[config.residual]
    return [
        block(config, cross, first=number == 0)
        for number in range(1 if config.share_blocks else depth)
    ]
