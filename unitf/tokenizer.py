"""Tokenizer: what a plugin subclasses to bring a modality."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from unitf.component import Component
from unitf.embedding import (
    AdditivePositions,
    EmbeddingTable,
    FixedPositions,
    InterpolatedPositions,
    LearnedPositions,
    Prefix,
    PrefixTokens,
    SinusoidalPositions,
    TiedUnembedding,
    Unembedding,
)
from unitf.errors import UserError
from unitf.initialisation import initialise
from unitf.tokens import Features, Tokens

Positions = Literal["sinusoidal", "learned", "additive", "interpolated", "fixed", "none"]


class Tokenizer(Component, ABC):
    """Makes tokens of the raw values of one modality, and raw values of tokens where it can.

    A subclass writes `encode` and says what that gives: `num_features` (F of F×N) or, for ids,
    `vocabulary_size` (an attribute, or a property over what `fit` learned).

    Args:
        dim: D, the width of a token; the core's configuration gives it.
        positions: what is added to a token for where it stands; "learned" (a vector for each
            place of the grid), "fixed" (one that is kept, not learned) and "additive" (the sum of
            one for each axis) need `max_tokens` or a `position_shape` of the subclass's own.
        max_tokens: the longest sequence; a longer one is an error that names the sample.
        position_offset: learned positions have so many unused vectors before the first.
        table: what is unusual about the table of ids.
        prefix: learned columns before every sequence.
        unembedding: how columns become logits of ids, where a task wants the way back.
    """

    num_features: int | None = None
    vocabulary_size: int | None = None
    projection_bias: bool = True  # of the linear layer that embeds F×N
    num_axes: int = 1  # P, the number of position axes that `encode` gives
    # ids that generation and masking need, where the vocabulary has them
    start_id: int | None = None
    end_id: int | None = None
    mask_id: int | None = None

    def __init__(
        self,
        dim: int,
        positions: Positions = "sinusoidal",
        max_tokens: int | None = None,
        position_offset: int = 0,
        table: EmbeddingTable | None = None,
        prefix: Prefix | None = None,
        unembedding: Unembedding | None = None,
    ) -> None:
        super().__init__()
        if position_offset and positions not in ("learned", "additive"):
            raise UserError(f"position_offset is for learned positions, found {positions!r}")
        self.dim = dim
        self.position_scheme = positions
        self.max_tokens = max_tokens
        self.position_offset = position_offset
        self.table = table or EmbeddingTable()
        self.num_prefix = 0 if prefix is None else prefix.num_tokens
        self.prefix_settings = prefix
        self.unembedding_settings = unembedding or Unembedding()
        self.embedding: nn.Module | None = None
        self.position_embedding: nn.Module | None = None
        self.embedding_norm: nn.Module | None = None
        self.embedding_projection: nn.Linear | None = None
        self.prefix: PrefixTokens | None = None
        self.unembedding: nn.Module | None = None

    # ---- host: raw values and features ------------------------------------------------

    def fit(self, values: Iterable[Any]) -> None:
        """Learns from the raw training values what `encode` needs; keeps it in `self.fitted`."""

    @abstractmethod
    def encode(self, value: Any, train: bool = False) -> Features:
        """One raw value as Features: ids (N,) or F×N; augmented when `train`.

        Random numbers come from torch's, NumPy's or Python's global generators, which the loader
        seeds for every sample.

        Raises:
            ValueError: the value cannot be read; the loader adds which sample it was.
        """

    def decode(self, features: Features) -> Any:
        """One raw value from the Features of one sequence."""
        raise UserError(f"{type(self).__name__} cannot turn tokens back into raw values")

    def empty(self) -> Features:
        """The Features of a value that is not there: no token."""
        shape = (0,) if self.vocabulary_size is not None else (self.num_features or 0, 0)
        kind = torch.int64 if self.vocabulary_size is not None else torch.float32
        return Features(torch.zeros(shape, dtype=kind), torch.zeros(self.num_axes, 0))

    # ---- device: features and columns -------------------------------------------------

    @property
    def position_shape(self) -> tuple[int, ...] | None:
        """The grid of learned positions."""
        return None if self.max_tokens is None else (self.max_tokens,)

    def make_parameters(self, unembed: bool = False) -> None:
        """The default embedding, positions and (only if `unembed`) unembedding."""
        if (self.vocabulary_size is None) == (self.num_features is None):
            raise UserError(
                f"{type(self).__name__} must have either num_features (numbers F×N) or "
                f"vocabulary_size (ids), found {self.num_features} and {self.vocabulary_size}"
            )
        if self.vocabulary_size is not None:
            self.embedding = nn.Embedding(self.vocabulary_size, self.embedding_dim)
            if unembed:
                self.unembedding = self._make_unembedding(self.embedding)
        else:
            assert self.num_features is not None
            for name, given in (
                ("table", self.table != EmbeddingTable()),
                ("unembedding", self.unembedding_settings != Unembedding()),
            ):
                if given:
                    raise UserError(f"{type(self).__name__} has no ids: `{name}` is not for it")
            self.embedding = nn.Linear(self.num_features, self.dim, bias=self.projection_bias)
            if unembed:
                self.unembedding = nn.Linear(self.dim, self.num_features)
        if self.table.norm_eps is not None:
            self.embedding_norm = nn.LayerNorm(self.position_dim, self.table.norm_eps)
        if self.embedding_dim != self.dim:
            self.embedding_projection = nn.Linear(
                self.embedding_dim, self.dim, bias=self.table.projection_bias
            )
        initialise(self)
        for layer in (self.embedding, self.embedding_projection):
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
        if isinstance(self.embedding, nn.Embedding) and self.position_scheme == "sinusoidal":
            nn.init.normal_(self.embedding.weight, std=self.embedding_dim**-0.5)
        self.position_embedding = self.make_positions()
        if self.prefix_settings is not None:
            self.prefix = PrefixTokens(self.dim, self.prefix_settings)

    def _make_unembedding(self, table: nn.Embedding) -> nn.Module | None:
        """What gives logits beside the table, or instead of it; None: the table alone does."""
        settings = self.unembedding_settings
        if not settings.tied:
            return nn.Linear(self.dim, table.num_embeddings, bias=settings.bias)
        if settings.bias or settings.projection:
            return TiedUnembedding(self.dim, table, settings)
        return None

    def make_positions(self) -> nn.Module | None:
        """What is added to the embedding, as `positions` says."""
        if self.position_scheme == "none":
            return None
        if self.position_scheme == "sinusoidal":
            return SinusoidalPositions(self.position_dim, self.num_axes)
        if self.position_shape is None:
            raise UserError(
                f"{type(self).__name__}: positions {self.position_scheme!r} need max_tokens"
            )
        kinds = {
            "learned": LearnedPositions,
            "additive": AdditivePositions,
            "interpolated": InterpolatedPositions,
            "fixed": FixedPositions,
        }
        return kinds[self.position_scheme](
            self.position_dim, self.position_shape, self.position_offset
        )

    @property
    def embedding_dim(self) -> int:
        """E, the width of the table: D unless `table` says otherwise."""
        return self.table.width or self.dim

    @property
    def position_dim(self) -> int:
        """The width of absolute positions: that of the table, or of what it is projected to."""
        return self.dim if self.table.projected_first else self.embedding_dim

    def embed(self, features: Features) -> Float[Tensor, "E N"]:
        """Features as columns: a lookup table for ids, a linear projection for F×N."""
        assert self.embedding is not None, "build() comes before embed()"
        rows = self.embedding(features.rows)
        scale = self.table.scale
        if scale is None and features.is_ids and self.position_scheme == "sinusoidal":
            # as Vaswani et al. (2017): the waves are of size 1 and drown a token that is smaller,
            # while the same table, as an unembedding, must be small
            scale = self.embedding_dim**0.5
        return (rows if scale is None else rows * scale).mT

    def unembed(self, columns: Float[Tensor, "D N"]) -> Float[Tensor, "_ N"]:
        """Columns as logits V×N (by the transposed table) or as F×N (by a linear projection)."""
        settings, rows = self.unembedding_settings, columns.mT
        if settings.scale is not None:
            rows = rows * settings.scale
        if self.unembedding is not None and not isinstance(self.unembedding, TiedUnembedding):
            rows = self.unembedding(rows)
        elif isinstance(self.embedding, nn.Embedding):
            if self.embedding_projection is not None and not settings.projection:
                rows = nn.functional.linear(rows, self.embedding_projection.weight.mT)
            product = self.unembedding or nn.functional.linear
            rows = product(rows, self.embedding.weight)
        else:
            raise UserError(f"{type(self).__name__} was built without the way back (unembed)")
        if settings.softcap is not None:
            rows = (rows / settings.softcap).tanh() * settings.softcap
        return rows.mT

    def loss(self, predicted: Float[Tensor, "_ N"], features: Features) -> Float[Tensor, " N"]:
        """A loss per token: cross-entropy (nats) for ids, mean squared error for F×N."""
        if features.is_ids:
            return nn.functional.cross_entropy(
                predicted.mT.float(), features.values.long(), reduction="none"
            )
        return (predicted - features.values).square().mean(0)

    def num_columns(self, features: Features) -> tuple[int, ...]:
        """How many columns `forward` makes of each sequence: a prefix, and one for each token."""
        return tuple(length and self.num_prefix + length for length in features.lengths)

    def forward(self, features: Features, positions: nn.Module | None = None) -> Tokens:
        """A batch of Features as Tokens: `embed`, positions added, the prefix before each.

        Args:
            positions: what is added instead of the tokenizer's own (by a decoder, say).
        """
        matrix: Shaped[Tensor, "_ _"] = self.embed(features)
        if tuple(matrix.shape) != (self.embedding_dim, features.num_tokens):
            raise UserError(
                f"{type(self).__name__}.embed gave {'×'.join(map(str, matrix.shape))}, "
                f"expected D×N = {self.embedding_dim}×{features.num_tokens}"
            )
        rows = matrix.mT
        if self.table.projected_first and self.embedding_projection is not None:
            rows = self.embedding_projection(rows)
        positions = positions or self.position_embedding
        if positions is not None:
            rows = rows + positions(features.positions).to(rows.dtype)
        if self.embedding_norm is not None:
            rows = self.embedding_norm(rows)
        if self.embedding_projection is not None and not self.table.projected_first:
            rows = self.embedding_projection(rows)
        tokens = Tokens.from_rows(rows, features.lengths, features.positions)
        return tokens if self.prefix is None else self.prefix(tokens)
