"""Feed-forward: what a block computes for each token by itself."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unitf.core.config import TransformerConfig


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": _gelu_tanh,
    "relu": F.relu,
    "silu": F.silu,
    "geglu": F.gelu,
    "reglu": F.relu,
    "swiglu": F.silu,
}


class FeedForward(nn.Module):
    """Two projections with an activation between them (Vaswani et al., 2017)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.activation = _ACTIVATIONS[config.activation]
        self.dropout = config.dropout
        self.inner = nn.Linear(config.dim, config.hidden_dim, bias=config.bias)
        self.out = nn.Linear(config.hidden_dim, config.dim, bias=config.bias)

    def forward(self, rows: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        hidden = self.activation(self.inner(rows))
        if self.dropout:
            hidden = F.dropout(hidden, self.dropout, self.training)
        return self.out(hidden)


class GatedFeedForward(nn.Module):
    """The activation of one projection gates another (Shazeer, 2020); both are fused."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.activation = _ACTIVATIONS[config.activation]
        self.dropout = config.dropout
        self.inner = nn.Linear(config.dim, 2 * config.hidden_dim, bias=config.bias)
        self.out = nn.Linear(config.hidden_dim, config.dim, bias=config.bias)

    def forward(self, rows: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        gate, value = self.inner(rows).chunk(2, dim=-1)
        hidden = self.activation(gate) * value
        if self.dropout:
            hidden = F.dropout(hidden, self.dropout, self.training)
        return self.out(hidden)


def make_feedforward(config: TransformerConfig) -> nn.Module:
    """A feed-forward as `config.activation` says."""
    return (GatedFeedForward if config.gated else FeedForward)(config)
