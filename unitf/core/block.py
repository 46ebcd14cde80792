"""Block: the part of a Transformer that is repeated."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unitf.core.attention import CrossAttention, SelfAttention
from unitf.core.config import TransformerConfig
from unitf.core.feedforward import make_feedforward
from unitf.core.kernels import Kernel
from unitf.core.norms import make_norm
from unitf.core.positions import Rotation


@dataclass(frozen=True, eq=False)
class Context:
    """What all blocks of a forward pass share: made once, read by each."""

    attend: Kernel
    rotation: Rotation | None = None
    memory: Tensor | None = None  # (M, D)
    attend_memory: Kernel | None = None


class Residual(nn.Module):
    """What a layer adds to the columns: dropout, layer scale and drop path on the way."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm = make_norm(config)
        self.pre = config.norm_position == "pre"
        self.dropout = config.dropout
        self.scale = None
        if config.layer_scale is not None:
            self.scale = nn.Parameter(torch.full((config.dim,), config.layer_scale))

    def forward(
        self,
        rows: Float[Tensor, "N D"],
        layer: Callable[[Tensor], Tensor],
        keep: Float[Tensor, "N 1"] | None,
    ) -> Float[Tensor, "N D"]:
        added = layer(self.norm(rows) if self.pre else rows)
        if self.dropout:
            added = F.dropout(added, self.dropout, self.training)
        if self.scale is not None:
            added = added * self.scale
        if keep is not None:
            added = added * keep
        rows = rows + added
        return rows if self.pre else self.norm(rows)


class Block(nn.Module):
    """Attention, perhaps attention to a memory, and feed-forward, each a residual."""

    def __init__(self, config: TransformerConfig, cross: bool = False) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.attention_residual = Residual(config)
        self.cross = None
        if cross:
            self.cross = CrossAttention(config)
            self.cross_residual = Residual(config)
        self.feedforward = make_feedforward(config)
        self.feedforward_residual = Residual(config)

    def forward(
        self,
        rows: Float[Tensor, "N D"],
        context: Context,
        keep: Float[Tensor, "3 N 1"] | None = None,
    ) -> Float[Tensor, "N D"]:
        """`keep` scales what each of the layers adds to each token (drop path)."""
        keeps = (None, None, None) if keep is None else keep.unbind(0)
        rows = self.attention_residual(
            rows,
            partial(self.attention, kernel=context.attend, rotation=context.rotation),
            keeps[0],
        )
        if self.cross is not None:
            rows = self.cross_residual(
                rows,
                partial(self.cross, memory=context.memory, kernel=context.attend_memory),
                keeps[1],
            )
        return self.feedforward_residual(rows, self.feedforward, keeps[2])
