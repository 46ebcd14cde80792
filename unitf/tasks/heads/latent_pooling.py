"""LatentPooling: one learned query attends to the columns of a sequence."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf.core.attention.kernels import AttentionSpec, make_kernel
from unitf.nn.initialisation import initialise
from unitf.tasks.heads.pooling import Pooling, default_heads
from unitf.tokens import Tokens


class LatentPooling(Pooling):
    """Multi-head attention of a learned query, then a feed-forward residual: the MAP head.

    As in Set Transformer (Lee et al., 2019) and the image tower of SigLIP (Zhai et al., 2023).
    """

    def __init__(
        self,
        dim: int,
        num_heads: int | None = None,
        hidden_dim: int | None = None,
        activation: Literal["gelu", "gelu_tanh"] = "gelu",
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads or default_heads(dim)
        if dim % self.num_heads:
            raise ValueError(f"width {dim} does not divide by {self.num_heads} pooling heads")
        hidden_dim = hidden_dim or 4 * dim
        self.activation = nn.GELU("tanh" if activation == "gelu_tanh" else "none")
        self.latent = nn.Parameter(torch.empty(1, dim))
        self.query = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim, norm_eps)
        self.inner = nn.Linear(dim, hidden_dim)
        self.outer = nn.Linear(hidden_dim, dim)
        initialise(self)
        nn.init.trunc_normal_(self.latent, std=dim**-0.5)

    def forward(self, columns: Tokens) -> Float[Tensor, "S D"]:
        count, rows = columns.num_sequences, columns.rows
        q = self.query(self.latent).expand(count, -1).unflatten(1, (self.num_heads, -1))
        kv = self.kv(rows).unflatten(1, (2 * self.num_heads, -1))
        pattern = AttentionSpec((1,) * count, columns.lengths, head_dim=q.shape[-1])
        kernel = make_kernel(pattern, rows.device, kv.dtype)
        pooled = self.out(kernel(q.to(kv.dtype), *kv.chunk(2, dim=1)).flatten(1))
        return pooled + self.outer(self.activation(self.inner(self.norm(pooled))))
