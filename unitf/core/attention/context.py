"""BlockContext: what the blocks of a stack share in a forward pass."""

from dataclasses import dataclass

from torch import Tensor

from unitf.core.attention.kernels import Kernel
from unitf.core.relative_positions import Rotation


@dataclass(frozen=True, eq=False)
class BlockContext:
    """What blocks of one kind share in a forward pass: made once, read by each."""

    attend: Kernel
    rotation: Rotation | None = None
    memory: Tensor | None = None  # (M, D)
    attend_memory: Kernel | None = None
    output_columns: Tensor | None = None  # (R,): only these rows are wanted, in the last block
