"""LatentPooling: one learned query that attends to the columns of a sequence."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf.core.attention.kernels import AttentionSpec, make_kernel
from unitf.nn.initialisation import initialise
from unitf.tasks.heads.pooling import Pooling, default_heads
from unitf.tokens import Tokens


class LatentPooling(Pooling):
    """Multi-head attention of a learned query, then a feed-forward with a residual (a MAP head).

    Set Transformer (Lee et al., 2019) and the image tower of SigLIP (Zhai et al., 2023) have it.
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
        self.num_heads: int = num_heads or default_heads(dim)
        if dim % self.num_heads:
            raise ValueError(f"width {dim} does not divide by {self.num_heads} pooling heads")
        hidden_dim = hidden_dim or 4 * dim
        self.activation: nn.GELU = nn.GELU("tanh" if activation == "gelu_tanh" else "none")
        self.latent: nn.Parameter = nn.Parameter(torch.empty(1, dim))
        self.query: nn.Linear = nn.Linear(dim, dim)
        self.kv: nn.Linear = nn.Linear(dim, 2 * dim)
        self.out: nn.Linear = nn.Linear(dim, dim)
        self.norm: nn.LayerNorm = nn.LayerNorm(dim, norm_eps)
        self.inner: nn.Linear = nn.Linear(dim, hidden_dim)
        self.outer: nn.Linear = nn.Linear(hidden_dim, dim)
        initialise(self)
        nn.init.trunc_normal_(self.latent, std=dim**-0.5)

    def forward(self, columns: Tokens) -> Float[Tensor, "S D"]:
        """Pools the columns of each sequence."""
        count, rows = columns.num_sequences, columns.rows
        q = self.query(self.latent).expand(count, -1).unflatten(1, (self.num_heads, -1))
        kv = self.kv(rows).unflatten(1, (2 * self.num_heads, -1))
        spec = AttentionSpec((1,) * count, columns.lengths, head_dim=q.shape[-1])
        kernel = make_kernel(spec, rows.device, kv.dtype)
        pooled = self.out(kernel(q.to(kv.dtype), *kv.chunk(2, dim=1)).flatten(1))
        return pooled + self.outer(self.activation(self.inner(self.norm(pooled))))
