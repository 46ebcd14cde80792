"""BlockFigures: what the blocks of a core say of themselves, as means over an epoch."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from unitf.core.auxiliary import BlockAuxiliary


class BlockFigures:
    """Means over tokens, kept on the device; nobody waits for it before the end of an epoch."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], Tensor] = {}  # by name of the figure, and of the block
        self._tokens: dict[tuple[str, str], int] = {}

    def update(self, auxiliary: Iterable[BlockAuxiliary]) -> None:
        """Takes the figures of one step."""
        for block in auxiliary:
            for name, figure in block.figures().items():
                key = name, f"{block.stack}.{block.block}"
                value = figure.value.detach().float() * block.num_tokens
                self._sums[key] = self._sums[key] + value if key in self._sums else value
                self._tokens[key] = self._tokens.get(key, 0) + block.num_tokens

    def compute(self, strategy: Any) -> dict[str, float]:
        """The means over all processes, as `name/stack.block` with `/item` for each of several.

        Args:
            strategy: Lightning's, whose `reduce` sums over all processes.
        """
        found: dict[str, float] = {}
        for (name, block), value in self._sums.items():
            tokens = value.new_tensor([self._tokens[name, block]])
            total = strategy.reduce(torch.cat([value.reshape(-1), tokens]), reduce_op="sum")
            *sums, count = total.tolist()
            for item, number in enumerate(sums):
                label = f"{name}/{block}" + (f"/{item}" if value.ndim else "")
                found[label] = number / max(count, 1)
        self.reset()
        return found

    def reset(self) -> None:
        """Forgets what was counted."""
        self._sums.clear()
        self._tokens.clear()
