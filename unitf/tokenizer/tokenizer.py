"""Tokenizer: what a plugin subclasses to bring a modality."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from unitf.component import Component
from unitf.errors import UserError
from unitf.nn.cross_entropy import cross_entropy
from unitf.nn.initialisation import initialise
from unitf.nn.projection import Projection, project
from unitf.tokenizer.canvas import Canvas, plain_canvas
from unitf.tokenizer.position_embedding import GRIDS, PositionEmbeddingName, SinusoidalPositions
from unitf.tokenizer.token_embedding import (
    EmbeddingTable,
    Prefix,
    PrefixTokens,
    TiedUnembedding,
    Unembedding,
)
from unitf.tokens import Features, Spans, Tokens

__all__ = ["Tokenizer"]


class Tokenizer(Component, ABC):
    """Makes tokens of the raw values of one modality, and raw values of tokens where it can.

    A subclass writes `encode` and says what that gives: `num_features` (F of F×N) or, for ids,
    `vocabulary_size` (an attribute, or a property over what `fit` learned).

    Args:
        dim: D, the width of a token; the core's configuration gives it.
        position_embedding: what is added to a token for where it stands; "learned" (a vector for
            each place of the grid), "fixed" (one that is kept, not learned) and "additive" (the
            sum of one for each axis) need `max_tokens` or a `position_shape` of the subclass's own.
        max_tokens: the longest sequence; a longer one is an error that names the sample.
        position_offset: learned positions have so many unused vectors before the first.
        num_positions: how many vectors learned positions of an order have, where the longest
            sequence is shorter; None: `max_tokens`.
        table: what is unusual about the table of ids.
        prefix: learned columns before every sequence.
        unembedding: how columns become logits of ids, where a task wants the way back.
        mask_column: whether there is a learned column for tokens that are hidden from the core, in
            masked modelling of numbers (ids have a `mask_id`).
    """

    num_features: int | None = None
    vocabulary_size: int | None = None
    projection_bias: bool = True  # of the linear layer that embeds F×N
    num_axes: int = 1  # P, the number of position axes that `encode` gives
    content: slice = slice(None)  # the rows of F×N that are a token itself, not how it was scaled
    moves: bool = False  # augmentation moves what a value shows, or cuts some of it off
    truncate: bool = False  # what is longer than `max_tokens` is cut, instead of refused
    # ids with a meaning of their own, where the vocabulary has them
    unknown_id: int | None = None
    start_id: int | None = None
    end_id: int | None = None
    mask_id: int | None = None
    padding_id: int | None = None

    def __init__(
        self,
        dim: int,
        position_embedding: PositionEmbeddingName = "sinusoidal",
        max_tokens: int | None = None,
        position_offset: int = 0,
        num_positions: int | None = None,
        table: EmbeddingTable | None = None,
        prefix: Prefix | None = None,
        unembedding: Unembedding | None = None,
        mask_column: bool = False,
    ) -> None:
        super().__init__()
        if position_offset and position_embedding not in ("learned", "additive"):
            raise UserError(
                f"position_offset is for learned positions, found {position_embedding!r}"
            )
        if num_positions is not None and (max_tokens is None or max_tokens > num_positions):
            raise UserError(f"num_positions {num_positions} needs max_tokens of at most that")
        self.dim = dim
        self.position_scheme = position_embedding
        self.max_tokens = max_tokens
        self.position_offset = position_offset
        self.num_positions = max_tokens if num_positions is None else num_positions
        self.table = table or EmbeddingTable()
        self.num_prefix = 0 if prefix is None else prefix.num_tokens
        self.prefix_settings = prefix
        self.unembedding_settings = unembedding or Unembedding()
        self.has_mask_column = mask_column
        self.embedding: nn.Module | None = None
        self.position_embedding: nn.Module | None = None
        self.embedding_norm: nn.Module | None = None
        self.embedding_projection: nn.Linear | None = None
        self.prefix: PrefixTokens | None = None
        self.mask_column: nn.Parameter | None = None
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

    def cuts(self, lengths: Sequence[int]) -> Bool[np.ndarray, " S"]:
        """Whether sequences of these lengths may have been longer, and were cut."""
        longest = self.max_tokens if self.truncate else None
        return np.array([longest is not None and length >= longest for length in lengths], bool)

    def decode(self, features: Features) -> Any:
        """One raw value from the Features of one sequence."""
        raise UserError(f"{type(self).__name__} cannot turn tokens back into raw values")

    def token_names(self) -> list[str]:
        """What a person calls each id of the vocabulary."""
        raise UserError(f"{type(self).__name__} has no names for its tokens")

    def spans(self, value: Any) -> Spans:
        """What part of a text each token of `encode(value)` stands for."""
        raise UserError(f"{type(self).__name__} does not know what its tokens stand for in a text")

    def names(self, features: Features) -> list[str]:
        """What a person calls each token of one sequence: its id's name, or where it stands."""
        if not features.is_ids:
            return [
                ",".join(f"{x:g}" for x in position) for position in features.positions.mT.tolist()
            ]
        names = self.token_names()
        return [names[i] for i in features.values.tolist()]

    def canvas(self, features: Features) -> Canvas | None:
        """The picture that the tokens of one sequence are parts of; None: they are words."""
        return plain_canvas(features)

    def empty(self) -> Features:
        """The Features of a value that is not there: no token."""
        shape = (0,) if self.vocabulary_size is not None else (self.num_features or 0, 0)
        kind = torch.int64 if self.vocabulary_size is not None else torch.float32
        return Features(torch.zeros(shape, dtype=kind), torch.zeros(self.num_axes, 0))

    # ---- device: features and columns -------------------------------------------------

    @property
    def position_shape(self) -> tuple[int, ...] | None:
        """The grid of learned positions."""
        return None if self.num_positions is None else (self.num_positions,)

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
        if self.has_mask_column:
            self.mask_column = nn.Parameter(torch.empty(self.embedding_dim))
            nn.init.trunc_normal_(self.mask_column, std=0.02, a=-0.04, b=0.04)

    def _make_unembedding(self, table: nn.Embedding) -> nn.Module | None:
        """What gives logits beside the table, or instead of it; None: the table alone does."""
        settings = self.unembedding_settings
        if not settings.tied:
            return Projection(self.dim, table.num_embeddings, bias=settings.bias)
        if settings.bias or settings.projection:
            return TiedUnembedding(self.dim, table, settings)
        return None

    def make_positions(self) -> nn.Module | None:
        """What is added to the embedding, as `position_embedding` says."""
        if self.position_scheme == "none":
            return None
        if self.position_scheme == "sinusoidal":
            return SinusoidalPositions(self.position_dim, self.num_axes)
        if self.position_shape is None:
            raise UserError(
                f"{type(self).__name__}: position_embedding {self.position_scheme!r} "
                "needs max_tokens"
            )
        grid = GRIDS[self.position_scheme]
        return grid(self.position_dim, self.position_shape, self.position_offset)

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

    def unembed(self, columns: Float[Tensor, "_ N"]) -> Float[Tensor, "_ N"]:
        """Columns as logits V×N (by the transposed table) or as F×N (by a linear projection).

        Columns of the table's own width (E×N, from a task's head) meet it without the projection.
        """
        settings, rows = self.unembedding_settings, columns.mT
        if settings.scale is not None:
            rows = rows * settings.scale
        if self.unembedding is not None and not isinstance(self.unembedding, TiedUnembedding):
            rows = self.unembedding(rows)
        elif isinstance(self.embedding, nn.Embedding):
            narrow = rows.shape[1] != self.dim  # a task's head may make columns of width E
            if self.embedding_projection is not None and not (settings.projection or narrow):
                rows = nn.functional.linear(rows, self.embedding_projection.weight.mT)
            product = self.unembedding or project
            rows = product(rows, self.embedding.weight)
        else:
            raise UserError(f"{type(self).__name__} was built without the way back (unembed)")
        if settings.softcap is not None:
            rows = (rows / settings.softcap).tanh() * settings.softcap
        return rows.mT

    def loss(self, predicted: Float[Tensor, "_ N"], features: Features) -> Float[Tensor, " N"]:
        """A loss per token: cross-entropy (nats) for ids, mean squared error for F×N."""
        if features.is_ids:
            return cross_entropy(predicted.mT, features.values)[0]
        return (predicted - features.values).square().mean(0)

    def positions_of(self, features: Features) -> Float[Tensor, "P N"]:
        """Where the tokens stand, as relative positions in the core read it."""
        return features.positions

    def position_of(self, number: int) -> Sequence[float]:
        """The P positions of the token of this number: row by row where there is a grid."""
        if self.num_axes == 1:
            return (float(number),)
        shape = self.position_shape
        if shape is None or len(shape) != self.num_axes or number >= math.prod(shape):
            raise UserError(f"{type(self).__name__} does not know where token {number} stands")
        return tuple(float(index) for index in np.unravel_index(number, shape))

    def num_columns(self, features: Features) -> tuple[int, ...]:
        """How many columns `forward` makes of each sequence: a prefix, and one for each token."""
        return tuple(length and self.num_prefix + length for length in features.lengths)

    def forward(
        self,
        features: Features,
        hidden: Bool[Tensor, " N"] | None = None,
        vector: Float[Tensor, " E"] | None = None,
        positions: nn.Module | None = None,
    ) -> Tokens:
        """A batch of Features as Tokens: `embed`, positions added, the prefix before each.

        The arguments are those of `without_prefix`.
        """
        tokens = self.without_prefix(features, hidden, vector, positions)
        return tokens if self.prefix is None else self.prefix(tokens)

    def without_prefix(
        self,
        features: Features,
        hidden: Bool[Tensor, " N"] | None = None,
        vector: Float[Tensor, " E"] | None = None,
        positions: nn.Module | None = None,
    ) -> Tokens:
        """The same without the prefix, as of tokens that follow others.

        Args:
            hidden: the tokens whose content is replaced; they keep their places.
            vector: what replaces it; None: the mask column.
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
        if hidden is not None:
            vector = self.mask_column if vector is None else vector
            if vector is None:
                raise UserError(f"{type(self).__name__} hides no token: it has no mask_column")
            rows = torch.where(hidden[:, None], vector.to(rows.dtype), rows)
        positions = positions or self.position_embedding
        if positions is not None:
            rows = rows + positions(features.positions).to(rows.dtype)
        if self.embedding_norm is not None:
            rows = self.embedding_norm(rows)
        if self.embedding_projection is not None and not self.table.projected_first:
            rows = self.embedding_projection(rows)
        return Tokens.from_rows(rows, features.lengths, self.positions_of(features))
