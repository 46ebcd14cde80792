"""Feed-forward: what a block computes for each token by itself."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unitf.core.config import TransformerConfig
from unitf.core.dropout import dropout
from unitf.core.norms import make_norm
from unitf.nn.projection import Projection


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": _gelu_tanh,
    "quick_gelu": _quick_gelu,
    "relu": F.relu,
    "silu": F.silu,
    "geglu": F.gelu,
    "geglu_tanh": _gelu_tanh,
    "reglu": F.relu,
    "swiglu": F.silu,
}


class FeedForward(nn.Module):
    """Two projections with an activation between them (Vaswani et al., 2017)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.activation = _ACTIVATIONS[config.activation]
        self.dropout = config.activation_dropout
        self.inner = Projection(config.dim, self.inner_width(config), bias=config.bias)
        self.norm = make_norm(config, config.hidden_dim) if config.hidden_norm else None
        self.out = Projection(config.hidden_dim, config.dim, bias=config.bias)

    def inner_width(self, config: TransformerConfig) -> int:
        return config.hidden_dim

    def hidden(self, rows: Float[Tensor, "N D"]) -> Float[Tensor, "N hidden"]:
        return self.activation(self.inner(rows))

    def forward(self, rows: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        hidden = dropout(self.hidden(rows), self.dropout, self.training)
        if self.norm is not None:
            hidden = self.norm(hidden)
        return self.out(hidden)


class GatedFeedForward(FeedForward):
    """The activation of one projection gates another (Shazeer, 2020); both are fused."""

    def inner_width(self, config: TransformerConfig) -> int:
        return 2 * config.hidden_dim

    def hidden(self, rows: Float[Tensor, "N D"]) -> Float[Tensor, "N hidden"]:
        gate, value = self.inner(rows).chunk(2, dim=-1)
        return self.activation(gate) * value


def make_feedforward(config: TransformerConfig) -> nn.Module:
    """A feed-forward as `config.activation` says."""
    return (GatedFeedForward if config.gated else FeedForward)(config)
