"""The kernel of a batch without queries, or without keys."""

from torch import Tensor

from unitf.core.attention.sdpa import AttentionSpec


class Nothing:
    """Attention of no queries, or to no keys: zeros, through which gradients still flow."""

    def __init__(self, pattern: AttentionSpec) -> None:
        self.zero: Tensor | float = 0.0
        if pattern.bias is not None and pattern.positions is not None:
            # the bias may have parameters, whose gradients must be zero instead of missing
            no_positions = pattern.positions[:, :0]
            self.zero = pattern.bias(no_positions, no_positions).sum()

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return q * 0 + (k[:0].sum() + v[:0].sum() + self.zero)
