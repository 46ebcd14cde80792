"""What surrounds a tokenizer's table: its own width, prefixes, the way back."""

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
    """How the table of ids differs from a plain one of width D, as in some published models.

    Args:
        width: E, of its vectors and of the positions that are added to them; a linear projection
            then brings them to D (ALBERT, ELECTRA). None: D.
        scale: what its vectors are multiplied by (√D in Gemma and Marian); None: √E where
            positions are sinusoidal, else 1.
        norm_eps: the epsilon of a LayerNorm over table and positions, before the projection;
            None: there is none.
        projection_bias: whether that projection has a bias.
        projected_first: positions are D wide and added after the projection (OPT-350m).
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
    """How columns become logits of ids, where not by the transposed table alone.

    Args:
        tied: logits are products with the table's vectors; else with a V×D matrix of their own.
        bias: whether each id has a learned number that is added to its logit.
        projection: a tied table of width E is reached by a linear layer of its own, without bias;
            else by the transposed projection of the way in.
        softcap: logits lie between ± this, as cap·tanh(logit / cap) (Gemma 2); None: anywhere.
        scale: what columns are multiplied by first (D^-0.5 in T5); None: nothing.
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
            raise UserError("unembedding.projection leads to a tied table, found tied false")


class TiedUnembedding(nn.Module):
    """What a tied table needs beside itself to give logits: a bias, a projection to its width."""

    bias: nn.Parameter | None

    def __init__(self, dim: int, table: nn.Embedding, settings: Unembedding) -> None:
        super().__init__()
        size, width = table.weight.shape
        self.bias = nn.Parameter(torch.zeros(size)) if settings.bias else None
        self.projection = nn.Linear(dim, width, bias=False) if settings.projection else None

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
        num_tokens: K, how many.
        positions: whether each has a learned position vector too (ViT; registers have none), or how
            many of them, from the first on.
        place: their position on every axis, which relative positions read: at 0 rotary ones do
            not turn them; at -1 they are told apart from the first token.
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
        """How many have a position vector."""
        if isinstance(self.positions, bool):
            return self.num_tokens if self.positions else 0
        return self.positions


class PrefixTokens(nn.Module):
    """The learned columns that a Prefix describes."""

    positions: nn.Parameter | None

    def __init__(self, dim: int, settings: Prefix) -> None:
        super().__init__()
        self.position = settings.position
        self.tokens = nn.Parameter(torch.empty(settings.num_tokens, dim))
        self.positions = None
        if settings.num_placed:
            self.positions = nn.Parameter(torch.empty(settings.num_placed, dim))
        for parameter in self.parameters():
            nn.init.trunc_normal_(parameter, std=0.02, a=-0.04, b=0.04)

    def forward(self, tokens: Tokens) -> Tokens:
        """The same sequences with the prefix before each that is not empty."""
        rows = self.tokens
        if self.positions is not None:
            unplaced = len(rows) - len(self.positions)
            rows = rows + nn.functional.pad(self.positions, (0, 0, 0, unplaced))
        lengths = [len(rows) if length else 0 for length in tokens.lengths]
        num_sequences = sum(map(bool, lengths))
        # also before no sequence at all, so that autograd still reaches the parameters
        repeated = rows.to(tokens.matrix.dtype).expand(num_sequences, -1, -1).flatten(0, 1)
        positions = tokens.positions.new_full((len(tokens.positions), sum(lengths)), self.position)
        return Tokens.concat([Tokens.from_rows(repeated, lengths, positions), tokens])
