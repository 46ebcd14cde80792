"""Heads: the layers after the core, for each column or for each sequence's pooled column."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from unitf.errors import UserError
from unitf.nn.initialisation import initialise
from unitf.registry.configurable import Configurable
from unitf.tasks.heads.latent_pooling import LatentPooling
from unitf.tasks.heads.pooling import POOLINGS, FirstAndMeanPooling, Pooling, PoolingName
from unitf.tokens import Tokens

HeadActivation = Literal["tanh", "gelu", "gelu_tanh", "relu", "silu", "none"]
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "gelu_tanh": partial(nn.GELU, approximate="tanh"),
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "none": nn.Identity,
}


@dataclass(frozen=True)
class Head(Configurable):
    """The layers between a column and a task's numbers, as published models have them.

    Args:
        columns: [first, last): pooling reads only these columns of each sequence. A number below
            0 counts from the end, and None is the end ([1, None]: all but a class token). In
            pooling "first_and_mean" only the mean is over these; None: all but the first.
        pieces: the number of equal pieces in which each sequence is cut (the channels of a
            series); each piece is pooled, and their pooled columns are joined.
        hidden: the activation after a hidden linear layer (BERT's pooler: tanh); None: no layer.
        width: the width of the hidden layer's output; None: D.
        hidden_bias: whether that layer has a bias.
        norm_eps: the epsilon of a LayerNorm, after the hidden layer; None: no norm.
        norm_bias: whether that norm has a bias.
        bias: whether the last linear layer has a bias.
        latent_heads: the number of heads of pooling "latent"; None: heads about 64 wide.
        latent_hidden: the width inside the feed-forward of pooling "latent"; None: 4 D.
        latent_activation: the activation inside that feed-forward.
        latent_eps: the epsilon of the norm of pooling "latent".
    """

    columns: list[int | None] | None = None
    pieces: int = 1
    hidden: HeadActivation | None = None
    width: int | None = None
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
        if self.pieces < 1:
            raise UserError(f"head.pieces: expected 1 or more, found {self.pieces}")
        if self.width is not None and (self.width < 1 or self.hidden is None):
            raise UserError("head.width: expected 1 or more, and `hidden` beside it")


class ColumnHead(nn.Module):
    """Computes `size` numbers for each column.

    There may be a hidden layer and a norm; dropout and a linear layer follow.

    Args:
        size: the number of outputs; None: there is no linear layer at the end.
    """

    def __init__(
        self, dim: int, size: int | None, dropout: float = 0.0, settings: Head | None = None
    ) -> None:
        super().__init__()
        settings = settings or Head()
        width = dim
        self.hidden: nn.Linear | None = None
        self.norm: nn.LayerNorm | None = None
        self.linear: nn.Linear | None = None
        self.activation: nn.Module = nn.Identity()
        if settings.hidden is not None:
            width = settings.width or dim
            self.hidden = nn.Linear(dim, width, bias=settings.hidden_bias)
            self.activation = _ACTIVATIONS[settings.hidden]()
            initialise(self.hidden)
        if settings.norm_eps is not None:
            self.norm = nn.LayerNorm(width, settings.norm_eps, bias=settings.norm_bias)
        self.dropout: nn.Dropout = nn.Dropout(dropout)
        if size is not None:
            self.linear = nn.Linear(width, size, bias=settings.bias)
            initialise(self.linear)

    def forward(self, rows: Float[Tensor, "N D"]) -> Float[Tensor, "N size"]:
        """Applies the layers to each row, which is a column of the core."""
        if self.hidden is not None:
            rows = self.activation(self.hidden(rows))
        if self.norm is not None:
            rows = self.norm(rows)
        rows = self.dropout(rows)
        return rows if self.linear is None else self.linear(rows)


class PooledHead(ColumnHead):
    """Computes `size` numbers for each sequence, from its pooled column."""

    def __init__(
        self,
        dim: int,
        size: int | None,
        pooling: PoolingName,
        dropout: float = 0.0,
        settings: Head | None = None,
    ) -> None:
        settings = settings or Head()
        pooling_module = _make_pooling(dim, pooling, settings)
        super().__init__(dim * pooling_module.width * settings.pieces, size, dropout, settings)
        # pooling "first_and_mean" selects its columns itself
        self.columns: list[int | None] | None = (
            None if pooling == "first_and_mean" else settings.columns
        )
        self.pooling: Pooling = pooling_module
        self.pieces: int = settings.pieces
        if self.pieces > 1 and pooling == "class_token":
            raise UserError(
                "head.pieces: a class token stands before a sequence, not before pieces"
            )

    @property
    def output_columns(self) -> tuple[int | None, int | None] | None:
        """The columns [first, last) of each sequence that the head reads; None: all of them."""
        return None if self.columns is not None or self.pieces > 1 else self.pooling.output_columns

    def join_inputs(self, parts: Sequence[Tokens]) -> Tokens:
        """Joins the inputs, with what the pooling puts before each sequence."""
        return self.pooling.join_inputs(parts)

    def forward(self, columns: Tokens) -> Float[Tensor, "S size"]:
        """Pools the columns of each sequence and applies the layers."""
        if self.columns is not None:
            columns = columns.within(*self.columns)
        rows = self.pooling(cut_evenly(columns, self.pieces))
        return super().forward(rows.unflatten(0, (-1, self.pieces)).flatten(1))


def cut_evenly(columns: Tokens, count: int) -> Tokens:
    """Cuts every sequence in `count` equally long ones.

    Raises:
        UserError: the length of a sequence is no multiple of `count`.
    """
    if count == 1:
        return columns
    wrong = [length for length in columns.lengths if length % count]
    if wrong:
        raise UserError(f"head.pieces: {wrong[0]} columns cannot be cut in {count} equal pieces")
    lengths = [length // count for length in columns.lengths for _ in range(count)]
    return Tokens.from_rows(columns.rows, lengths, columns.positions)


def _make_pooling(dim: int, pooling: PoolingName, settings: Head) -> Pooling:
    if pooling == "latent":
        return LatentPooling(
            dim,
            settings.latent_heads,
            settings.latent_hidden,
            settings.latent_activation,
            settings.latent_eps,
        )
    if pooling == "first_and_mean":
        return FirstAndMeanPooling(settings.columns or (1, None))
    return POOLINGS[pooling](dim)
