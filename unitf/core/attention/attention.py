"""Attention modules: what projects columns to queries, keys and values, and back."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf.core.attention.kernels import Kernel
from unitf.core.config import TransformerConfig
from unitf.core.norms import make_norm
from unitf.core.relative_positions import Rotation, rotate
from unitf.core.residual import mark_residual_output
from unitf.nn.projection import Projection


class HeadNorms(nn.Module):
    """Queries and keys are normalised, each head over its own numbers (Henry et al., 2020)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.query = make_norm(config, config.head_dim)
        self.key = make_norm(config, config.head_dim)

    def forward(
        self, q: Float[Tensor, "N H d"], k: Float[Tensor, "M H2 d"]
    ) -> tuple[Float[Tensor, "N H d"], Float[Tensor, "M H2 d"]]:
        return self.of_queries(q), self.key(k).to(k.dtype)

    def of_queries(self, q: Float[Tensor, "N H d"]) -> Float[Tensor, "N H d"]:
        # under autocast norms give float32, but values are not
        return self.query(q).to(q.dtype)


class Attention(nn.Module):
    """What both kinds share: norms of heads before the kernel, a norm and a projection after it.

    Args:
        bias: whether the projections that come first have one.
        widths: of these projections, by name.
    """

    def __init__(self, config: TransformerConfig, bias: bool, **widths: int) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads = config.num_heads, config.num_kv_heads
        self.head_dim = config.head_dim
        for name, width in widths.items():
            setattr(self, name, Projection(config.dim, width, bias=bias))
        inner = config.num_heads * config.head_dim
        self.head_norms = HeadNorms(config) if config.qk_norm else None
        self.norm = make_norm(config, inner) if config.attention_norm else None
        out = Projection(inner, config.dim, bias=config.attention_out_bias)
        self.out = mark_residual_output(out)

    def together(self, heads: Float[Tensor, "N H d"]) -> Float[Tensor, "N D"]:
        """What the heads attended to, as columns again."""
        rows = heads.flatten(1)
        return self.out(rows if self.norm is None else self.norm(rows))


class SomeBiases(nn.Module):
    """What queries and values have as a bias, and keys lack: it would change no weight (BEiT)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(config.num_heads * config.head_dim))
        self.value = nn.Parameter(torch.zeros(config.num_kv_heads * config.head_dim))

    def forward(self, rows: Float[Tensor, "N qkv"]) -> Float[Tensor, "N qkv"]:
        keys = torch.zeros_like(self.value)
        return rows + torch.cat([self.query, keys, self.value]).to(rows.dtype)


class SelfAttention(Attention):
    """Tokens of a sequence look at each other; one projection makes queries, keys and values."""

    qkv: nn.Linear

    def __init__(self, config: TransformerConfig) -> None:
        heads = config.num_heads + 2 * config.num_kv_heads
        super().__init__(config, config.qkv_bias and config.key_bias, qkv=heads * config.head_dim)
        self.some_biases = SomeBiases(config) if config.qkv_bias and not config.key_bias else None

    def forward(
        self, rows: Float[Tensor, "N D"], kernel: Kernel, rotation: Rotation | None = None
    ) -> Float[Tensor, "N D"]:
        rows = self.qkv(rows)
        if self.some_biases is not None:
            rows = self.some_biases(rows)
        heads = rows.unflatten(-1, (-1, self.head_dim))
        own = rotation is not None and rotation[0].shape[1] > 1  # each head turns by its own angles
        if self.head_norms is not None or rotation is None or own:
            q, k, v = heads.split([self.num_heads, self.num_kv_heads, self.num_kv_heads], dim=1)
            if self.head_norms is not None:
                q, k = self.head_norms(q, k)
            if rotation is not None:
                q, k = rotate(q, rotation), rotate(k, rotation)
        else:  # side by side still, both are turned at once
            turned, v = heads.tensor_split([self.num_heads + self.num_kv_heads], dim=1)
            turned = rotate(turned, rotation)
            q, k = turned.tensor_split([self.num_heads], dim=1)
        return self.together(kernel(q, k, v))


class CrossAttention(Attention):
    """Tokens look at those of a memory; one projection makes its keys and values."""

    query: nn.Linear
    kv: nn.Linear

    def __init__(self, config: TransformerConfig) -> None:
        d = config.head_dim
        widths = {"query": config.num_heads * d, "kv": 2 * config.num_kv_heads * d}
        super().__init__(config, config.qkv_bias, **widths)

    def forward(
        self, rows: Float[Tensor, "N D"], memory: Float[Tensor, "M D"] | None, kernel: Any
    ) -> Float[Tensor, "N D"]:
        q = self.query(rows).unflatten(-1, (-1, self.head_dim))
        if memory is None:  # the kernel has kept what it read
            q = q if self.head_norms is None else self.head_norms.of_queries(q)
            return self.together(kernel(q, None, None))
        k, v = self.kv(memory).unflatten(-1, (-1, self.head_dim)).chunk(2, dim=1)
        if self.head_norms is not None:
            q, k = self.head_norms(q, k)
        return self.together(kernel(q, k, v))
