"""The type of an attention kernel."""

from collections.abc import Callable

from torch import Tensor

# queries (N, H, d), keys and values (M, H2, d), where H2 divides H → (N, H, d)
Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]
