"""Attention modules: projections of columns to queries, keys and values, and back."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf.core.attention.cached import MemoryKernel
from unitf.core.attention.kernel import Kernel
from unitf.core.config import TransformerConfig
from unitf.core.norms import Norm, make_norm
from unitf.core.relative_positions import Rotation, rotate
from unitf.core.residual import mark_residual_output
from unitf.nn.projection import Projection
from unitf.nn.typed import split, unflatten


class HeadNorms(nn.Module):
    """Normalises queries and keys over the numbers of each head (Henry et al., 2020)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.query: Norm = make_norm(config, config.head_dim)
        self.key: Norm = make_norm(config, config.head_dim)

    def forward(
        self, q: Float[Tensor, "N H d"], k: Float[Tensor, "M H2 d"]
    ) -> tuple[Float[Tensor, "N H d"], Float[Tensor, "M H2 d"]]:
        """Returns the normalised queries and keys."""
        return self.of_queries(q), self.key(k).to(k.dtype)

    def of_queries(self, q: Float[Tensor, "N H d"]) -> Float[Tensor, "N H d"]:
        """Returns the normalised queries."""
        # under autocast norms return float32, but values are in half precision
        return self.query(q).to(q.dtype)


class Attention(nn.Module):
    """The base class of attention: norms of heads, and a norm and a projection of the result.

    Args:
        bias: whether the projections to queries, keys and values have biases.
        widths: the output widths of these projections, by the name of the projection.
    """

    def __init__(self, config: TransformerConfig, bias: bool, **widths: int) -> None:
        super().__init__()
        self.num_heads: int = config.num_heads
        self.num_kv_heads: int = config.num_kv_heads
        self.head_dim: int = config.head_dim
        for name, width in widths.items():
            setattr(self, name, Projection(config.dim, width, bias=bias))
        inner = config.num_heads * config.head_dim
        self.head_norms: HeadNorms | None = HeadNorms(config) if config.qk_norm else None
        self.norm: Norm | None = make_norm(config, inner) if config.attention_norm else None
        out = Projection(inner, config.dim, bias=config.attention_out_bias)
        self.out: Projection = mark_residual_output(out)

    def together(self, heads: Float[Tensor, "N H d"]) -> Float[Tensor, "N D"]:
        """Returns the output of all heads as columns."""
        rows = heads.flatten(1)
        return self.out(rows if self.norm is None else self.norm(rows))


class SomeBiases(nn.Module):
    """Biases of queries and values only: a bias of keys changes no attention weight (BEiT)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.query: nn.Parameter = nn.Parameter(torch.zeros(config.num_heads * config.head_dim))
        self.value: nn.Parameter = nn.Parameter(torch.zeros(config.num_kv_heads * config.head_dim))

    def forward(self, rows: Float[Tensor, "N qkv"]) -> Float[Tensor, "N qkv"]:
        """Returns the rows of queries, keys and values with the biases added."""
        keys = torch.zeros_like(self.value)
        return rows + torch.cat([self.query, keys, self.value]).to(rows.dtype)


class SelfAttention(Attention):
    """Tokens of a sequence attend to each other; one projection makes queries, keys and values."""

    qkv: nn.Linear

    def __init__(self, config: TransformerConfig) -> None:
        heads = config.num_heads + 2 * config.num_kv_heads
        super().__init__(config, config.qkv_bias and config.key_bias, qkv=heads * config.head_dim)
        self.some_biases: SomeBiases | None = None
        if config.qkv_bias and not config.key_bias:
            self.some_biases = SomeBiases(config)

    def forward(
        self, rows: Float[Tensor, "N D"], kernel: Kernel, rotation: Rotation | None = None
    ) -> Float[Tensor, "N D"]:
        """Returns what self-attention adds to the columns.

        Args:
            rotation: turns queries and keys (rotary positions); None: they stay as they are.
        """
        rows = self.qkv(rows)
        if self.some_biases is not None:
            rows = self.some_biases(rows)
        heads = unflatten(rows, -1, (-1, self.head_dim))
        per_head = rotation is not None and rotation[0].shape[1] > 1
        if self.head_norms is not None or rotation is None or per_head:
            sizes = [self.num_heads, self.num_kv_heads, self.num_kv_heads]
            q, k, v = split(heads, sizes, dim=1)
            if self.head_norms is not None:
                q, k = self.head_norms(q, k)
            if rotation is not None:
                q, k = rotate(q, rotation), rotate(k, rotation)
        else:  # queries and keys lie side by side: one call turns both
            turned, v = torch.tensor_split(heads, [self.num_heads + self.num_kv_heads], dim=1)
            turned = rotate(turned, rotation)
            q, k = torch.tensor_split(turned, [self.num_heads], dim=1)
        return self.together(kernel(q, k, v))


class CrossAttention(Attention):
    """Tokens attend to those of a memory; one projection makes its keys and values."""

    query: nn.Linear
    kv: nn.Linear

    def __init__(self, config: TransformerConfig) -> None:
        d = config.head_dim
        widths = {"query": config.num_heads * d, "kv": 2 * config.num_kv_heads * d}
        super().__init__(config, config.qkv_bias, **widths)

    def forward(
        self,
        rows: Float[Tensor, "N D"],
        memory: Float[Tensor, "M D"] | None,
        kernel: MemoryKernel | None,
    ) -> Float[Tensor, "N D"]:
        """Returns what attention to the memory adds to the columns.

        Args:
            memory: None: the kernel holds its keys and values.
            kernel: None only where no memory was ever read.
        """
        assert kernel is not None
        q = unflatten(self.query(rows), -1, (-1, self.head_dim))
        if memory is None:
            q = q if self.head_norms is None else self.head_norms.of_queries(q)
            return self.together(kernel(q, None, None))
        k, v = unflatten(self.kv(memory), -1, (-1, self.head_dim)).chunk(2, dim=1)
        if self.head_norms is not None:
            q, k = self.head_norms(q, k)
        return self.together(kernel(q, k, v))
