"""Attention modules: what projects columns to queries, keys and values, and back."""

from jaxtyping import Float
from torch import Tensor, nn

from unitf.core.config import TransformerConfig
from unitf.core.kernels import Kernel
from unitf.core.positions import Rotation, rotate


class SelfAttention(nn.Module):
    """Tokens of a sequence look at each other; one projection makes queries, keys and values."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads = config.num_heads, config.num_kv_heads
        self.head_dim = config.head_dim
        width = (config.num_heads + 2 * config.num_kv_heads) * config.head_dim
        self.qkv = nn.Linear(config.dim, width, bias=config.bias)
        self.out = nn.Linear(config.num_heads * config.head_dim, config.dim, bias=config.bias)

    def forward(
        self, rows: Float[Tensor, "N D"], kernel: Kernel, rotation: Rotation | None = None
    ) -> Float[Tensor, "N D"]:
        heads = self.qkv(rows).unflatten(-1, (-1, self.head_dim))
        if rotation is None:
            q, k, v = heads.split([self.num_heads, self.num_kv_heads, self.num_kv_heads], dim=1)
        else:
            turned, v = heads.tensor_split([self.num_heads + self.num_kv_heads], dim=1)
            turned = rotate(turned, rotation)
            q, k = turned.tensor_split([self.num_heads], dim=1)
        return self.out(kernel(q, k, v).flatten(1))


class CrossAttention(nn.Module):
    """Tokens look at those of a memory; one projection makes its keys and values."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        inner = config.num_heads * config.head_dim
        self.query = nn.Linear(config.dim, inner, bias=config.bias)
        self.kv = nn.Linear(config.dim, 2 * config.num_kv_heads * config.head_dim, bias=config.bias)
        self.out = nn.Linear(inner, config.dim, bias=config.bias)

    def forward(
        self, rows: Float[Tensor, "N D"], memory: Float[Tensor, "M D"], kernel: Kernel
    ) -> Float[Tensor, "N D"]:
        q = self.query(rows).unflatten(-1, (-1, self.head_dim))
        k, v = self.kv(memory).unflatten(-1, (-1, self.head_dim)).chunk(2, dim=1)
        return self.out(kernel(q, k, v).flatten(1))
