"""BlockFigures: the means over an epoch of the numbers that the core's blocks report."""

from collections.abc import Iterable

import torch
from torch import Tensor

from unitf.core.auxiliary import BlockAuxiliary
from unitf.training.results import ReducingStrategy


class BlockFigures:
    """Means over tokens of what each block reports.

    The sums stay on the device, so that training waits for it only at the end of an epoch.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], Tensor] = {}  # by the names of the figure and the block
        self._tokens: dict[tuple[str, str], int] = {}

    def update(self, auxiliary: Iterable[BlockAuxiliary]) -> None:
        """Adds the figures of one training step."""
        for block in auxiliary:
            for name, figure in block.figures().items():
                key = name, f"{block.stack}.{block.block}"
                value = figure.value.detach().float() * block.num_tokens
                self._sums[key] = self._sums[key] + value if key in self._sums else value
                self._tokens[key] = self._tokens.get(key, 0) + block.num_tokens

    def compute(self, strategy: ReducingStrategy) -> dict[str, float]:
        """Returns the means over all processes, and resets the sums.

        A mean is named `name/stack.block`; a figure of several items adds `/item` to each name.

        Args:
            strategy: the strategy of the trainer.
        """
        means: dict[str, float] = {}
        for (name, block), value in self._sums.items():
            tokens = value.new_tensor([self._tokens[name, block]])
            total = strategy.reduce(torch.cat([value.reshape(-1), tokens]), reduce_op="sum")
            *sums, count = total.tolist()
            for item, number in enumerate(sums):
                label = f"{name}/{block}" + (f"/{item}" if value.ndim else "")
                means[label] = number / max(count, 1)
        self.reset()
        return means

    def reset(self) -> None:
        """Deletes all sums."""
        self._sums.clear()
        self._tokens.clear()
