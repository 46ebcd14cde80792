"""Tokenizer: what a plugin subclasses to bring a modality."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from unitf.component import Component
from unitf.embedding import InterpolatedPositions, LearnedPositions, SinusoidalPositions
from unitf.errors import UserError
from unitf.initialisation import initialise
from unitf.tokens import Features, Tokens

Positions = Literal["sinusoidal", "learned", "interpolated", "none"]


class Tokenizer(Component, ABC):
    """Makes tokens of the raw values of one modality, and raw values of tokens where it can.

    A subclass writes `encode` and says what that gives: `num_features` (F of F×N) or, for ids,
    `vocabulary_size` (an attribute, or a property over what `fit` learned).

    Args:
        dim: D, the width of a token; the core's configuration gives it.
        positions: what is added to a token for where it stands; "learned" needs `max_tokens` or
            a `position_shape` of the subclass's own.
        max_tokens: the longest sequence; a longer one is an error that names the sample.
    """

    num_features: int | None = None
    vocabulary_size: int | None = None
    num_axes: ClassVar[int] = 1  # P, the number of position axes that `encode` gives
    # ids that generation and masking need, where the vocabulary has them
    start_id: int | None = None
    end_id: int | None = None
    mask_id: int | None = None

    def __init__(
        self, dim: int, positions: Positions = "sinusoidal", max_tokens: int | None = None
    ) -> None:
        super().__init__()
        self.dim = dim
        self.position_scheme = positions
        self.max_tokens = max_tokens
        self.embedding: nn.Module | None = None
        self.position_embedding: nn.Module | None = None
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
            self.embedding = nn.Embedding(self.vocabulary_size, self.dim)
        else:
            assert self.num_features is not None
            self.embedding = nn.Linear(self.num_features, self.dim)
            if unembed:
                self.unembedding = nn.Linear(self.dim, self.num_features)
        initialise(self)
        if isinstance(self.embedding, nn.Linear):
            nn.init.xavier_uniform_(self.embedding.weight)
        elif self.position_scheme == "sinusoidal":
            nn.init.normal_(self.embedding.weight, std=self.dim**-0.5)
        self.position_embedding = self.make_positions()

    def make_positions(self) -> nn.Module | None:
        """What is added to the embedding, as `positions` says."""
        if self.position_scheme == "none":
            return None
        if self.position_scheme == "sinusoidal":
            return SinusoidalPositions(self.dim, self.num_axes)
        if self.position_shape is None:
            raise UserError(
                f"{type(self).__name__}: positions {self.position_scheme!r} need max_tokens"
            )
        kinds = {"learned": LearnedPositions, "interpolated": InterpolatedPositions}
        return kinds[self.position_scheme](self.dim, self.position_shape)

    def embed(self, features: Features) -> Float[Tensor, "D N"]:
        """Features as columns: a lookup table for ids, a linear projection for F×N."""
        assert self.embedding is not None, "build() comes before embed()"
        rows = self.embedding(features.rows)
        if features.is_ids and self.position_scheme == "sinusoidal":
            # as Vaswani et al. (2017): the waves are of size 1 and drown a token that is smaller,
            # while the same table, as an unembedding, must be small
            rows = rows * self.dim**0.5
        return rows.mT

    def unembed(self, columns: Float[Tensor, "D N"]) -> Float[Tensor, "_ N"]:
        """Columns as logits V×N (by the transposed table) or as F×N (by a linear projection)."""
        if self.unembedding is not None:
            return self.unembedding(columns.mT).mT
        if not isinstance(self.embedding, nn.Embedding):
            raise UserError(f"{type(self).__name__} was built without the way back (unembed)")
        return nn.functional.linear(columns.mT, self.embedding.weight).mT

    def loss(self, predicted: Float[Tensor, "_ N"], features: Features) -> Float[Tensor, " N"]:
        """A loss per token: cross-entropy (nats) for ids, mean squared error for F×N."""
        if features.is_ids:
            return nn.functional.cross_entropy(
                predicted.mT.float(), features.values.long(), reduction="none"
            )
        return (predicted - features.values).square().mean(0)

    def forward(self, features: Features) -> Tokens:
        """A batch of Features as Tokens: `embed`, and positions added."""
        matrix: Shaped[Tensor, "_ _"] = self.embed(features)
        if tuple(matrix.shape) != (self.dim, features.num_tokens):
            raise UserError(
                f"{type(self).__name__}.embed gave {'×'.join(map(str, matrix.shape))}, "
                f"expected D×N = {self.dim}×{features.num_tokens}"
            )
        rows = matrix.mT
        if self.position_embedding is not None:
            rows = rows + self.position_embedding(features.positions).to(rows.dtype)
        return Tokens.from_rows(rows, features.lengths, features.positions)
