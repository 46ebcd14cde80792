"""BlockContext: what the blocks of a stack share in one forward pass."""

from dataclasses import dataclass

from torch import Tensor

from unitf.core.attention.cached import MemoryKernel
from unitf.core.attention.kernel import Kernel
from unitf.core.relative_positions import Rotation


@dataclass(frozen=True, eq=False)
class BlockContext:
    """What blocks of one kind share in a forward pass; it is made once, and each block reads it."""

    attend: Kernel
    rotation: Rotation | None = None
    memory: Tensor | None = None  # (M, D)
    attend_memory: MemoryKernel | None = None
    output_columns: Tensor | None = None  # (R,): the rows that the last block returns; None: all
