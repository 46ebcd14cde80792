"""TableCells: the cells of a row of a table, each of which is a token."""

import logging
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from unitf import Column, Features, Proposal, Tokenizer, UserError
from unitf.tokenizer import PositionEmbeddingName
from unitf_table.cell_columns import CellColumn, CellReader, ColumnFitter, Kind, Scaling
from unitf_table.cell_embedding import CellEmbedding, NumberEmbedding
from unitf_table.cell_values import is_empty
from unitf_table.recognised_cells import propose_cells

_log = logging.getLogger(__name__)


class TableCells(Tokenizer):
    """Reads many columns of a table: each cell that is not empty is one token.

    The value is a row: a dictionary of cells by column; or the cell itself, if one column is
    named and an input of a task is that column. An input of a task that is no column of
    the samples, as `cells`, gets the columns that are named here. If none is named, it gets all
    columns that no task names. What is learned of a column (its kind, mean and deviation,
    quantiles, categories) comes from the training samples alone. A column's identity is a learned
    vector. A column that is the same in all training samples is left out.

    Args:
        dim: D, the width of a token.
        numbers: the columns of numbers.
        categories: the columns of categories. A category that training did not have is a token of
            its column alone, and a line says so.
        dates: the columns of dates; a date is its trend, and its place in year, week and day.
        scaling: "standard" subtracts the mean of a column and divides by its deviation;
            "quantile" maps its quantiles to those of a normal distribution.
        embedding: how a number becomes a vector: "linear", "piecewise" (between quantiles) or
            "periodic"; see Gorishniy et al. (2022, arXiv:2203.05556).
        num_pieces: the largest number of pieces of a "piecewise" embedding.
        num_frequencies: the number of frequencies of a "periodic" embedding.
        frequency_scale: the standard deviation of the initial frequencies.
        min_count: how often a category must occur in training, not to be an unknown one.
        date_format: how dates are written, as `%d.%m.%Y`; None: ISO 8601.
        cell_dropout: the probability that training leaves out a cell; one cell is always left.
        position_embedding: as in Tokenizer.
        options: further options of Tokenizer.
    """

    num_features = 5
    joins_columns = True

    def __init__(
        self,
        dim: int,
        numbers: Sequence[str] = (),
        categories: Sequence[str] = (),
        dates: Sequence[str] = (),
        scaling: Scaling = "standard",
        embedding: NumberEmbedding = "piecewise",
        num_pieces: int = 8,
        num_frequencies: int = 16,
        frequency_scale: float = 0.1,
        min_count: int = 1,
        date_format: str | None = None,
        cell_dropout: float = 0.0,
        position_embedding: PositionEmbeddingName = "none",
        **options: Any,
    ) -> None:
        super().__init__(dim, position_embedding, **options)
        kinds: dict[Kind, Sequence[str]] = {
            "number": numbers,
            "category": categories,
            "date": dates,
        }
        self.kinds: dict[str, Kind] = {name: k for k, names in kinds.items() for name in names}
        twice = [
            n for n, c in Counter(n for names in kinds.values() for n in names).items() if c > 1
        ]
        if twice:
            raise UserError(f"column {twice[0]!r} is named twice in numbers, categories and dates")
        for name, value in (("num_pieces", num_pieces), ("num_frequencies", num_frequencies)):
            if value < 1:
                raise UserError(f"{name}: expected 1 or more, found {value}")
        if not 0 <= cell_dropout < 1:
            raise UserError(
                f"cell_dropout: expected 0 or more and less than 1, found {cell_dropout}"
            )
        self.scaling: Scaling = scaling
        self.number_embedding: NumberEmbedding = embedding
        self.num_pieces, self.min_count = num_pieces, min_count
        self.num_frequencies, self.frequency_scale = num_frequencies, frequency_scale
        self.date_format, self.cell_dropout = date_format, cell_dropout
        self._reader: CellReader | None = None
        self._said: set[str] = set()

    @property
    def columns(self) -> list[CellColumn]:
        """What was learned of each column."""
        known = cast("list[dict[str, Any]]", self.fitted.get("columns", []))
        return [CellColumn(**column) for column in known]

    @property
    def joined_columns(self) -> list[str] | None:
        if self.fitted:
            return [column.name for column in self.columns]
        return list(self.kinds) or None

    @classmethod
    def recognise(cls, column: Column) -> Proposal | None:
        """Recognises a column of numbers, of categories or of dates."""
        return propose_cells(column)

    # ---- raw values and features -------------------------------------------------------

    def fit(self, values: Iterable[object]) -> None:
        """Learns the kind, the scaling and the categories of each column."""
        fitters: dict[str, ColumnFitter] = {}
        for value in values:
            for name, cell in self._row(value).items():
                if is_empty(cell) or (self.kinds and name not in self.kinds):
                    continue
                if name not in fitters:
                    kind = self.kinds.get(name)
                    fitters[name] = ColumnFitter(name, kind, self.date_format)
                fitters[name].add(cell)
        if missing := [name for name in self.kinds if name not in fitters]:
            raise UserError(f"column {missing[0]!r}: no training sample has a cell of it")
        learned = {
            name: fitters[name].learned(self.scaling, self.num_pieces, self.min_count)
            for name in (self.kinds or fitters)
        }
        columns = [column for column in learned.values() if column is not None]
        if not columns:
            raise UserError("found no column whose cells differ, expected one or more")
        self.fitted = {"columns": [column.plain() for column in columns]}
        self._reader = None
        self._describe(columns, [name for name, column in learned.items() if column is None])

    def _describe(self, columns: Sequence[CellColumn], constant: Sequence[str]) -> None:
        """Says what was decided about the columns."""
        if not self.kinds:
            by_kind = [
                f"{key} ({', '.join(names)})"
                for kind, key in (
                    ("number", "numbers"),
                    ("category", "categories"),
                    ("date", "dates"),
                )
                if (names := [column.name for column in columns if column.kind == kind])
            ]
            _log.warning(
                "cells: the columns were read as %s; numbers, categories and dates change it",
                ", ".join(by_kind),
            )
        if constant:
            _log.warning("cells: left out, the same in all samples: %s", ", ".join(constant))

    def show(self, value: object) -> dict[str, str]:
        """Returns the cells of a row that are not empty, by the name of their column."""
        row = self._row(value)
        names = [column.name for column in self.columns] or list(row)
        shown = {name: row[name] for name in names if not is_empty(row.get(name))}
        return {n: f"{c:.6g}" if isinstance(c, float) else str(c) for n, c in shown.items()}

    def encode(self, value: object, train: bool = False) -> Features:
        """Encodes the cells of a row that are not empty, in the order of the columns."""
        if self._reader is None:
            self._reader = CellReader(self.columns, self.date_format)
        rows, unknown = self._reader.rows(self._row(value))
        for column, category in unknown:
            self._say_unknown(column, category)
        if train and self.cell_dropout:
            rows = self._some(rows)
        features = torch.tensor(rows).reshape(-1, 5)
        return Features(features.mT, features[:, 0][None].clone())

    def _say_unknown(self, column: str, category: str) -> None:
        if column not in self._said:
            self._said.add(column)
            _log.warning(
                "cells: column %r: training had no category %r, which is read as unknown "
                "(further ones of the column are not named)",
                column,
                category[:60],
            )

    def _row(self, value: object) -> Mapping[str, object]:
        """Returns a row; a cell alone is a row if one column is named."""
        if isinstance(value, Mapping):
            return value
        if len(self.kinds) == 1:
            return dict.fromkeys(self.kinds, value)
        raise UserError(
            f"found {type(value).__name__} {str(value)[:60]!r}, expected a dictionary of cells"
        )

    def _some(self, rows: list[list[float]]) -> list[list[float]]:
        kept = [row for row in rows if random.random() >= self.cell_dropout]
        return kept or random.sample(rows, min(1, len(rows)))

    def names(self, features: Features) -> list[str]:
        """Returns the column of each token."""
        columns = self.columns
        return [columns[int(index)].name for index in features.values[0].tolist()]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reader": None}

    # ---- device ------------------------------------------------------------------------

    def make_parameters(self, unembed: bool = False) -> None:
        """Makes the vectors of the columns; there is no way back from vectors to cells."""
        self.embedding = CellEmbedding(
            self.columns,
            self.dim,
            self.number_embedding,
            self.num_frequencies,
            self.frequency_scale,
        )
        self.position_embedding = self.make_positions()
        if self.prefix_settings is not None or self.has_mask_column:
            raise UserError("TableCells has no prefix and no mask_column")

    def embed(self, features: Features) -> Float[Tensor, "D N"]:
        """Returns a column for each cell."""
        assert self.embedding is not None
        return self.embedding(features.rows).mT

    @staticmethod
    def examples() -> list[object]:
        """Returns raw values of several kinds for the checks of plugins."""
        return [
            {"age": "31", "town": "York", "since": "2024-02-29", "dose": 1.5},
            {"age": "  47.5", "town": "Kiel", "since": "1999-12-31T23:59", "dose": None},
            {"age": "", "town": "York", "since": date(2010, 6, 1), "dose": -2},
            {"age": 5, "town": None, "since": None, "dose": float("nan")},
            {"age": "18", "town": "Łódź", "since": "2020-01-01 00:00:00", "dose": "3e-2"},
        ]
