"""Settings and modules around a tokenizer's table of ids: width, prefix, unembedding."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf.errors import UserError
from unitf.nn.projection import project
from unitf.registry.configurable import Configurable
from unitf.tokens import Tokens


@dataclass(frozen=True)
class EmbeddingTable(Configurable):
    """How the table of ids differs from a usual one of width D, as in some published models.

    Args:
        width: E, the width of the table and of the positions that are added; a linear projection
            maps E to D (ALBERT, ELECTRA). None: D.
        scale: the factor of the table's vectors (√D in Gemma and Marian); None: √E if positions
            are sinusoidal, else 1.
        norm_eps: the epsilon of a LayerNorm after the addition of positions and before the
            projection; None: there is no LayerNorm.
        projection_bias: whether the projection has a bias.
        projected_first: whether positions are D wide and added after the projection (OPT-350m).
    """

    width: int | None = None
    scale: float | None = None
    norm_eps: float | None = None
    projection_bias: bool = True
    projected_first: bool = False

    def __post_init__(self) -> None:
        for name in ("width", "scale", "norm_eps"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UserError(f"table.{name}: expected a number above 0, found {value}")


@dataclass(frozen=True)
class Unembedding(Configurable):
    """How columns become logits of ids; by default through the transposed table alone.

    Args:
        tied: whether logits are products with the table's vectors; otherwise the unembedding has a
            V×D matrix of its own.
        bias: whether a learned number is added to the logit of each id.
        projection: whether a linear layer without bias maps columns to the width E of a tied table;
            otherwise the transposed projection of the embedding does.
        softcap: logits are limited to ± softcap, as cap·tanh(logit / cap) (Gemma 2); None: they
            are not limited.
        scale: the factor of the columns before the product (D^-0.5 in T5); None: 1.
    """

    tied: bool = True
    bias: bool = False
    projection: bool = False
    softcap: float | None = None
    scale: float | None = None

    def __post_init__(self) -> None:
        for name in ("softcap", "scale"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UserError(f"unembedding.{name}: expected above 0, found {value}")
        if self.projection and not self.tied:
            raise UserError("unembedding.projection: expected a tied table, found tied false")


class TiedUnembedding(nn.Module):
    """Logits from a tied table, with a bias or with a projection to the width of the table."""

    bias: nn.Parameter | None

    def __init__(self, dim: int, table: nn.Embedding, settings: Unembedding) -> None:
        super().__init__()
        size, width = table.weight.shape
        self.bias = nn.Parameter(torch.zeros(size)) if settings.bias else None
        self.projection: nn.Linear | None = (
            nn.Linear(dim, width, bias=False) if settings.projection else None
        )

    def forward(
        self, rows: Float[Tensor, "N _"], table: Float[Tensor, "V E"]
    ) -> Float[Tensor, "N V"]:
        if self.projection is not None:
            rows = self.projection(rows)
        return project(rows, table, self.bias)


@dataclass(frozen=True)
class Prefix(Configurable):
    """Learned columns before every sequence of a modality: class tokens, registers.

    Args:
        num_tokens: K, the number of columns.
        positions: whether each column also has a learned position vector (in ViT; registers have
            none), or how many of the first columns have one.
        position: their position on every axis, for relative positions in the core: at 0 rotary
            positions do not rotate them; at -1 they differ from the first token.
    """

    num_tokens: int = 1
    positions: bool | int = True
    position: float = 0.0

    def __post_init__(self) -> None:
        if self.num_tokens < 1:
            raise UserError(f"prefix.num_tokens: expected 1 or more, found {self.num_tokens}")
        if not 0 <= self.num_placed <= self.num_tokens:
            raise UserError(
                f"prefix.positions: expected at most {self.num_tokens}, found {self.positions}"
            )

    @property
    def num_placed(self) -> int:
        """The number of columns that have a position vector."""
        if isinstance(self.positions, bool):
            return self.num_tokens if self.positions else 0
        return self.positions


class PrefixTokens(nn.Module):
    """The learned columns that a Prefix describes."""

    positions: nn.Parameter | None

    def __init__(self, dim: int, settings: Prefix) -> None:
        super().__init__()
        self.position: float = settings.position
        self.tokens: Tensor = nn.Parameter(torch.empty(settings.num_tokens, dim))
        self.positions = None
        if settings.num_placed:
            self.positions = nn.Parameter(torch.empty(settings.num_placed, dim))
        for parameter in self.parameters():
            nn.init.trunc_normal_(parameter, std=0.02, a=-0.04, b=0.04)

    def forward(self, tokens: Tokens) -> Tokens:
        """Returns the same sequences with the prefix before each that is not empty."""
        rows = self.tokens
        if self.positions is not None:
            missing = len(rows) - len(self.positions)
            rows = rows + nn.functional.pad(self.positions, (0, 0, 0, missing))
        lengths = [len(rows) if length else 0 for length in tokens.lengths]
        num_sequences = sum(map(bool, lengths))
        # without any sequence too, so that autograd still reaches the parameters
        repeated = rows.to(tokens.matrix.dtype).expand(num_sequences, -1, -1).flatten(0, 1)
        positions = tokens.positions.new_full((len(tokens.positions), sum(lengths)), self.position)
        return Tokens.concat([Tokens.from_rows(repeated, lengths, positions), tokens])
