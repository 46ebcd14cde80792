"""CellEmbedding: the columns (D×N) of cells, by the column of the table that each is in."""

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from unitf_table.cell_columns import CellColumn

NumberEmbedding: TypeAlias = Literal["linear", "piecewise", "periodic"]
HARMONICS = 3  # of each period of a date: with three of a week, each weekday has its own value
PERIODS = 3  # year, week, day
_DATE_WEIGHTS = 1 + 2 * HARMONICS * PERIODS


class CellEmbedding(nn.Module):
    """Each column of a table has vectors of its own, and a cell is a weighted sum of them.

    The weights of a number are the number itself ("linear"), its part in each piece between
    quantiles ("piecewise"), or sines and cosines with learned frequencies ("periodic", before a
    ReLU). These are L, Q-L and PLR of Gorishniy et al. (2022, arXiv:2203.05556). The weights of a
    date are its trend, and sines and cosines of its phases in year, week and day. A category has
    one vector; an unknown one has none. The vector of the column itself is added.

    Args:
        columns: the columns of the table.
        dim: D.
        numbers: how numbers are embedded.
        num_frequencies: of a periodic embedding, for each column.
        frequency_scale: the standard deviation of the initial frequencies.
    """

    first: Tensor
    low: Tensor
    inverse_width: Tensor
    limits: Tensor

    def __init__(
        self,
        columns: Sequence[CellColumn],
        dim: int,
        numbers: NumberEmbedding,
        num_frequencies: int,
        frequency_scale: float,
    ) -> None:
        super().__init__()
        self.numbers: NumberEmbedding = numbers
        self.kinds: frozenset[str] = frozenset(column.kind for column in columns)
        self.num_pieces: int = max([len(column.edges) - 1 for column in columns] + [1])
        self.num_frequencies: int = num_frequencies
        sizes = [self._num_vectors(column) for column in columns]
        self._keep("first", torch.tensor([sum(sizes[:number]) for number in range(len(sizes))]))
        for kind in ("number", "date", "category"):
            self._keep(f"is_{kind}", torch.tensor([float(c.kind == kind) for c in columns]))
        self._keep_pieces(columns)
        self.vectors: nn.Parameter = nn.Parameter(torch.empty(sum(sizes), dim))
        self.column: nn.Parameter = nn.Parameter(torch.empty(len(columns), dim))
        for parameter in (self.vectors, self.column):
            nn.init.uniform_(parameter, -(dim**-0.5), dim**-0.5)
        self.frequencies: nn.Parameter | None = None
        if numbers == "periodic" and "number" in self.kinds:
            self.frequencies = nn.Parameter(torch.empty(len(columns), num_frequencies))
            nn.init.normal_(self.frequencies, std=frequency_scale)

    def _keep(self, name: str, tensor: Tensor) -> None:
        self.register_buffer(name, tensor, persistent=False)  # the tokenizer's state has them

    def _num_vectors(self, column: CellColumn) -> int:
        if column.kind == "category":
            return len(column.categories)
        if column.kind == "date":
            return _DATE_WEIGHTS
        if self.numbers == "piecewise":
            return max(len(column.edges) - 1, 1)
        return 1 if self.numbers == "linear" else 2 * self.num_frequencies

    def _keep_pieces(self, columns: Sequence[CellColumn]) -> None:
        """Keeps the low end and the width of each piece, and the limits of its weight.

        The first piece has no lower limit and the last no upper one, so that numbers beyond those
        of training differ too.
        """
        low = torch.zeros(len(columns), self.num_pieces)
        inverse_width, limits = torch.zeros_like(low), torch.zeros(2, *low.shape)
        for number, column in enumerate(columns):
            edges = torch.tensor(column.edges)
            if (count := len(edges) - 1) >= 1:
                low[number, :count] = edges[:-1]
                inverse_width[number, :count] = 1 / edges.diff()
                limits[1, number, :count] = 1
                limits[0, number, 0], limits[1, number, count - 1] = -math.inf, math.inf
        self._keep("low", low)
        self._keep("inverse_width", inverse_width)
        self._keep("limits", limits)

    def forward(self, rows: Float[Tensor, "N 5"]) -> Float[Tensor, "N D"]:
        """Returns the columns of cells, which are given as `CellReader` makes them."""
        index = rows[:, 0].long()
        embedded = self.column[index]
        if "number" in self.kinds:
            numbers = self._sums(index, "number", self._number_weights(rows[:, 1, None], index))
            embedded = embedded + (numbers if self.frequencies is None else numbers.relu())
        if "date" in self.kinds:
            embedded = embedded + self._sums(index, "date", _date_weights(rows[:, 1:]))
        if "category" in self.kinds:
            known = (rows[:, 1:2] > 0).to(rows.dtype)
            embedded = embedded + self._sums(index, "category", known, rows[:, 1].long() - 1)
        return embedded

    def _sums(
        self,
        index: Int[Tensor, " N"],
        kind: str,
        weights: Float[Tensor, "N K"],
        shift: Int[Tensor, " N"] | None = None,
    ) -> Float[Tensor, "N D"]:
        """Returns the weighted sums of the vectors of the cells of one kind; zeros for others."""
        of_kind: Tensor = getattr(self, f"is_{kind}")[index]
        vectors = self.first[index] if shift is None else self.first[index] + shift
        vectors = vectors[:, None] + torch.arange(weights.shape[1], device=index.device)
        # a column may have fewer vectors than others; the weights beyond are 0
        vectors = vectors.clamp(0, len(self.vectors) - 1)
        weights = weights * of_kind[:, None]
        return functional.embedding_bag(
            vectors,
            self.vectors,
            per_sample_weights=weights.to(self.vectors.dtype),
            mode="sum",
        )

    def _number_weights(
        self, numbers: Float[Tensor, "N 1"], index: Int[Tensor, " N"]
    ) -> Float[Tensor, "N K"]:
        if self.numbers == "linear":
            return numbers
        if self.frequencies is not None:
            angles = 2 * math.pi * self.frequencies[index] * numbers
            return torch.cat([angles.sin(), angles.cos()], dim=1)
        parts = (numbers - self.low[index]) * self.inverse_width[index]
        return parts.clamp(self.limits[0][index], self.limits[1][index])


def _date_weights(rows: Float[Tensor, "N 4"]) -> Float[Tensor, "N 19"]:
    harmonics = torch.arange(1, HARMONICS + 1, device=rows.device, dtype=rows.dtype)
    angles = (2 * math.pi * rows[:, 1:, None] * harmonics).flatten(1)
    return torch.cat([rows[:, :1], angles.sin(), angles.cos()], dim=1)
