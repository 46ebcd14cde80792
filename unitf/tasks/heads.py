"""Heads: what is computed from the pooled column of each sequence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from unitf.configurable import Configurable
from unitf.errors import UserError
from unitf.initialisation import initialise
from unitf.tasks.latent import LatentPooling
from unitf.tasks.pooling import POOLINGS, Pooling, PoolingName
from unitf.tokens import Tokens

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "none": nn.Identity,
}


@dataclass(frozen=True)
class Head(Configurable):
    """What lies between a pooled column and the numbers of a task, as in published models.

    Args:
        columns: [first, last): pooling reads only these columns of each sequence; a number below
            0 counts from the end, None means the end ([1, None]: without a class token).
        hidden: the activation after a linear layer D×D (BERT's pooler: tanh); None: no layer.
        hidden_size: how many numbers that layer gives instead of D.
        hidden_bias: whether that layer has a bias.
        norm_eps: the epsilon of a LayerNorm, after the hidden layer; None: no norm.
        norm_bias: whether that norm has a bias.
        bias: whether the last linear layer has a bias.
        latent_heads: heads of pooling "latent"; None: about 64 wide.
        latent_hidden: width inside the feed-forward of pooling "latent"; None: 4 D.
        latent_activation: inside that feed-forward.
        latent_eps: the epsilon of the norm of pooling "latent".
    """

    columns: list[int | None] | None = None
    hidden: Literal["tanh", "gelu", "relu", "none"] | None = None
    hidden_size: int | None = None
    hidden_bias: bool = True
    norm_eps: float | None = None
    norm_bias: bool = True
    bias: bool = True
    latent_heads: int | None = None
    latent_hidden: int | None = None
    latent_activation: Literal["gelu", "gelu_tanh"] = "gelu"
    latent_eps: float = 1e-6

    def __post_init__(self) -> None:
        if self.columns is not None and len(self.columns) != 2:
            raise UserError(f"head.columns: expected [first, last], found {self.columns}")
        if self.hidden_size is not None and (self.hidden is None or self.hidden_size < 1):
            raise UserError(
                f"head.hidden_size: {self.hidden_size} with hidden {self.hidden!r}, expected a "
                "number from 1, and an activation"
            )


class PooledHead(nn.Module):
    """`size` numbers for each sequence: pooling, perhaps a layer, dropout, a linear layer.

    Args:
        size: None: the column itself, without a linear layer at the end.
    """

    def __init__(
        self,
        dim: int,
        size: int | None,
        pooling: PoolingName,
        dropout: float = 0.0,
        settings: Head | None = None,
    ) -> None:
        super().__init__()
        settings = settings or Head()
        self.columns = settings.columns
        self.pooling = _make_pooling(dim, pooling, settings)
        self.hidden = self.norm = self.linear = None
        self.activation: nn.Module = nn.Identity()
        if settings.hidden is not None:
            width = settings.hidden_size or dim
            self.hidden = nn.Linear(dim, width, bias=settings.hidden_bias)
            self.activation = _ACTIVATIONS[settings.hidden]()
            initialise(self.hidden)
            dim = width
        if settings.norm_eps is not None:
            self.norm = nn.LayerNorm(dim, settings.norm_eps, bias=settings.norm_bias)
        self.dropout = nn.Dropout(dropout)
        if size is not None:
            self.linear = nn.Linear(dim, size, bias=settings.bias)
            initialise(self.linear)

    def arrange(self, parts: Sequence[Tokens]) -> Tokens:
        return self.pooling.arrange(parts)

    def forward(self, columns: Tokens) -> Float[Tensor, "S size"]:
        if self.columns is not None:
            columns = columns.within(*self.columns)
        rows = self.pooling(columns)
        if self.hidden is not None:
            rows = self.activation(self.hidden(rows))
        if self.norm is not None:
            rows = self.norm(rows)
        rows = self.dropout(rows)
        return rows if self.linear is None else self.linear(rows)


def _make_pooling(dim: int, pooling: PoolingName, settings: Head) -> Pooling:
    if pooling == "latent":
        return LatentPooling(
            dim,
            settings.latent_heads,
            settings.latent_hidden,
            settings.latent_activation,
            settings.latent_eps,
        )
    return POOLINGS[pooling](dim)
