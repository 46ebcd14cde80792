"""Tokenizer: the base class for the tokenizers of plugins."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from unitf.component import Component
from unitf.errors import RecipeError, UserError
from unitf.features import Features, FileContent, RawValue
from unitf.nn.cross_entropy import cross_entropy
from unitf.nn.initialisation import initialise
from unitf.nn.projection import Projection, project
from unitf.proposal import Column, Proposal
from unitf.tokenizer.canvas import Canvas, plain_canvas
from unitf.tokenizer.located_targets import LocatedTarget
from unitf.tokenizer.position_embedding import GRIDS, PositionEmbeddingName, SinusoidalPositions
from unitf.tokenizer.shown import Shown, described
from unitf.tokenizer.token_embedding import (
    EmbeddingTable,
    Prefix,
    PrefixTokens,
    TiedUnembedding,
    Unembedding,
)
from unitf.tokens import Spans, Tokens

__all__ = ["Tokenizer"]


class Tokenizer(Component, ABC):
    """Maps the raw values of one modality to tokens, and tokens back to raw values if possible.

    A subclass writes `encode` and declares its result: `num_features` (F of F×N) or, for ids,
    `vocabulary_size` (an attribute, or a property that reads what `fit` learned).

    Args:
        dim: D, the width of a token; it comes from the core's configuration.
        position_embedding: the vectors that are added to tokens for their positions; "learned" (a
            vector for each point of the grid), "fixed" (such vectors that are not trained) and
            "additive" (the sum of one vector for each axis) need `max_tokens`, or a subclass with
            its own `position_shape`.
        max_tokens: the maximum length of a sequence; a longer one is an error with the sample's
            name.
        position_offset: the number of unused vectors before the first learned position.
        num_positions: the number of learned position vectors; None: `max_tokens`.
        table: how the table of ids differs from the usual one.
        prefix: learned columns before every sequence.
        unembedding: how columns become logits of ids, if a task needs them.
        mask_column: whether there is a learned column that replaces hidden tokens, for masked
            modelling of numbers (ids have a `mask_id`).
    """

    num_features: int | None = None
    vocabulary_size: int | None = None
    projection_bias: bool = True  # of the linear layer that embeds F×N
    num_axes: int = 1  # P, the number of position axes that `encode` gives
    content: slice = slice(None)  # the rows of F×N without those that describe the scaling
    moves: bool = False  # whether augmentation moves objects in a value, or cuts them off
    truncate: bool = False  # whether sequences are cut after `max_tokens`; else that is an error
    joins_columns: bool = False  # whether it reads several columns of a sample as one value
    # the special ids of the vocabulary; None: it has no such id
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
        self.dim: int = dim
        self.position_scheme: PositionEmbeddingName = position_embedding
        self.max_tokens: int | None = max_tokens
        self.position_offset: int = position_offset
        self.num_positions: int | None = max_tokens if num_positions is None else num_positions
        self.table: EmbeddingTable = table or EmbeddingTable()
        self.num_prefix: int = 0 if prefix is None else prefix.num_tokens
        self.prefix_settings: Prefix | None = prefix
        self.unembedding_settings: Unembedding = unembedding or Unembedding()
        self.has_mask_column: bool = mask_column
        self.embedding: nn.Module | None = None
        self.position_embedding: nn.Module | None = None
        self.embedding_norm: nn.Module | None = None
        self.embedding_projection: nn.Linear | None = None
        self.prefix: PrefixTokens | None = None
        self.mask_column: nn.Parameter | None = None
        self.unembedding: nn.Module | None = None

    # ---- host: raw values and features ------------------------------------------------

    @property
    def joined_columns(self) -> Sequence[str] | None:
        """The columns that are read as one value, if `joins_columns`: a dictionary of them.

        None: all columns of a sample that no task names.
        """
        return None

    @classmethod
    def recognise(cls, column: Column) -> Proposal | None:
        """Says whether this tokenizer can encode the values of a column, and how it would.

        Args:
            column: some values of the column.

        Returns:
            The arguments of the constructor without `dim`; None: these values are not for it.
        """
        return None

    def fit(self, values: Iterable[RawValue]) -> None:
        """Learns what `encode` needs from the raw training values, and keeps it in `fitted`."""

    @abstractmethod
    def encode(self, value: RawValue, train: bool = False) -> Features:
        """Encodes one raw value as ids (N,) or numbers F×N.

        Random numbers come from the global generators of torch, NumPy or Python, which the data
        loader seeds for every sample.

        Args:
            value: the raw value.
            train: whether to augment the value.

        Raises:
            ValueError: the value cannot be read; the loader adds the name of the sample.
        """

    def encode_located(
        self, value: RawValue, targets: Sequence[LocatedTarget], train: bool = False
    ) -> tuple[Features, list[LocatedTarget]]:
        """Encodes a value, and moves targets that locate something in it as the value is moved.

        A tokenizer whose augmentation `moves` what a value shows writes it, so that boxes, points,
        masks and labels in time follow.

        Args:
            value: the raw value.
            targets: what is located in the raw value.
            train: whether to augment the value.

        Returns:
            The features, and the targets in the value as it was encoded.

        Raises:
            RecipeError: it moves what the value shows, and does not say where to.
        """
        if train and self.moves and targets:
            raise RecipeError(
                f"the augmentation of {type(self).__name__} moves what {_kinds(targets)} locate, "
                "and does not say where to; expected one that changes no place"
            )
        return self.encode(value, train), list(targets)

    def cuts(self, lengths: Sequence[int]) -> Bool[np.ndarray, " S"]:
        """Returns for each sequence length whether the sequence may have been cut."""
        longest = self.max_tokens if self.truncate else None
        return np.array([longest is not None and length >= longest for length in lengths], bool)

    def decode(self, features: Features) -> RawValue:
        """Returns the raw value of the Features of one sequence."""
        raise UserError(f"{type(self).__name__} cannot turn tokens back into raw values")

    def to_file(self, value: RawValue) -> FileContent | None:
        """Returns a raw value, as `decode` gives it, as a file; None: it is none.

        The file has the ending of its name and its bytes: `(".png", b"…")`. A text is one.
        """
        return (".txt", value.encode()) if isinstance(value, str) else None

    def token_names(self) -> list[str]:
        """Returns a readable name for each id of the vocabulary."""
        raise UserError(f"{type(self).__name__} has no names for its tokens")

    def spans(self, value: RawValue) -> Spans:
        """Returns the part of a text that each token of `encode(value)` represents."""
        raise UserError(f"{type(self).__name__} does not know what its tokens stand for in a text")

    def names(self, features: Features) -> list[str]:
        """Returns a readable name for each token of one sequence: of its id, or its position."""
        if not features.is_ids:
            positions = cast(list[list[float]], features.positions.mT.tolist())  # pyright: ignore[reportUnknownMemberType]
            return [",".join(f"{x:g}" for x in position) for position in positions]
        names = self.token_names()
        ids = cast(list[int], features.values.tolist())  # pyright: ignore[reportUnknownMemberType]
        return [names[i] for i in ids]

    def show(self, value: RawValue) -> Shown:
        """Returns a raw value as a person sees, hears or reads it, for the page of a run.

        By default that is a text: arrays and bytes are described by their size.
        """
        return described(value)

    def canvas(self, features: Features) -> Canvas | None:
        """Returns a picture of the tokens of one sequence; None: they cannot be drawn."""
        return plain_canvas(features)

    def empty(self) -> Features:
        """Returns the Features of a missing value: one sequence without tokens."""
        shape = (0,) if self.vocabulary_size is not None else (self.num_features or 0, 0)
        dtype = torch.int64 if self.vocabulary_size is not None else torch.float32
        return Features(torch.zeros(shape, dtype=dtype), torch.zeros(self.num_axes, 0))

    # ---- device: features and columns -------------------------------------------------

    @property
    def position_shape(self) -> tuple[int, ...] | None:
        """The shape of the grid of learned positions; None: there is no grid."""
        return None if self.num_positions is None else (self.num_positions,)

    def make_parameters(self, unembed: bool = False) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Makes the embedding, the position embedding and the prefix.

        Args:
            unembed: whether to make the unembedding too.
        """
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
            for name, is_set in (
                ("table", self.table != EmbeddingTable()),
                ("unembedding", self.unembedding_settings != Unembedding()),
            ):
                if is_set:
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
        """Makes the module for logits; None: the table alone is enough."""
        settings = self.unembedding_settings
        if not settings.tied:
            return Projection(self.dim, table.num_embeddings, bias=settings.bias)
        if settings.bias or settings.projection:
            return TiedUnembedding(self.dim, table, settings)
        return None

    def make_positions(self) -> nn.Module | None:
        """Makes the position embedding; None: positions are not embedded."""
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
        """E, the width of the table: D, unless `table.width` is set."""
        return self.table.width or self.dim

    @property
    def position_dim(self) -> int:
        """The width of the position embedding: E, or D if it is added after the projection."""
        return self.dim if self.table.projected_first else self.embedding_dim

    def embed(self, features: Features) -> Float[Tensor, "E N"]:
        """Embeds Features as columns: by a table for ids, by a linear projection for F×N."""
        assert self.embedding is not None, "build() comes before embed()"
        rows = self.embedding(features.rows)
        scale = self.table.scale
        if scale is None and features.is_ids and self.position_scheme == "sinusoidal":
            # as in Vaswani et al. (2017): sinusoidal vectors have entries of size 1, and would hide
            # a token with smaller ones; but the table must be small, as it is the unembedding too
            scale = self.embedding_dim**0.5
        return (rows if scale is None else rows * scale).mT

    def unembed(self, columns: Float[Tensor, "_ N"]) -> Float[Tensor, "_ N"]:
        """Maps columns to logits V×N (by the transposed table) or to F×N (by a linear layer).

        Columns that a task's head made as wide as the table (E×N) skip the projection.
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
        """Returns the loss of each token: cross-entropy (nats) for ids, squared error for F×N."""
        if features.is_ids:
            return cross_entropy(predicted.mT, features.values)[0]
        return (predicted - features.values).square().mean(0)

    def positions_of(self, features: Features) -> Float[Tensor, "P N"]:
        """Returns the positions that the relative positions in the core use."""
        return features.positions

    def position_of(self, number: int) -> Sequence[float]:
        """Returns the P positions of token `number`; on a grid tokens are counted row by row."""
        if self.num_axes == 1:
            return (float(number),)
        shape = self.position_shape
        if shape is None or len(shape) != self.num_axes or number >= math.prod(shape):
            raise UserError(f"{type(self).__name__} does not know the position of token {number}")
        return tuple(float(index) for index in np.unravel_index(number, shape))

    def num_columns(self, features: Features) -> tuple[int, ...]:
        """Returns how many columns `forward` makes of each sequence: its tokens and a prefix."""
        return tuple(length and self.num_prefix + length for length in features.lengths)

    def forward(
        self,
        features: Features,
        hidden: Bool[Tensor, " N"] | None = None,
        vector: Float[Tensor, " E"] | None = None,
        positions: nn.Module | None = None,
    ) -> Tokens:
        """Embeds a batch of Features with positions, and puts the prefix before each sequence.

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
        """Embeds a batch of Features with positions, but without the prefix.

        Args:
            features: the batch.
            hidden: which tokens have their content replaced; they keep their positions.
            vector: the replacement; None: the mask column.
            positions: the position embedding to use instead of the tokenizer's own (in a decoder).
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


def _kinds(targets: Sequence[LocatedTarget]) -> str:
    """Returns the kinds of some targets in words."""
    return ", ".join(sorted({type(target).__name__ for target in targets}))
