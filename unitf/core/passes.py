"""How a block is run: once, or again in the backward pass."""

from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.utils import checkpoint

from unitf.core.attention.context import BlockContext
from unitf.core.block import Block, BlockOutput


class CheckpointFunction(Protocol):
    def __call__(
        self,
        function: nn.Module,
        rows: Tensor,
        context: BlockContext,
        keep: Tensor | None,
        *,
        use_reentrant: bool,
    ) -> BlockOutput: ...


def run_once(block: Block, rows: Tensor, context: BlockContext, keep: Tensor | None) -> BlockOutput:
    return block(rows, context, keep)


def run_twice(
    block: Block, rows: Tensor, context: BlockContext, keep: Tensor | None
) -> BlockOutput:
    """Keeps only the inputs of the block, and computes it again in the backward pass."""
    run = cast(CheckpointFunction, vars(checkpoint)["checkpoint"])  # torch leaves its type unknown
    return run(block, rows, context, keep, use_reentrant=False)


def computed_in(tensor: Tensor) -> torch.dtype:
    """Returns the dtype of queries, keys and values that are computed from `tensor`."""
    kind = tensor.device.type
    if torch.amp.autocast_mode.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return tensor.dtype
