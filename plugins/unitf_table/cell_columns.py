"""What TableCells learns of each column of a table from the training cells."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from unitf import UserError
from unitf_table.cell_values import (
    date_parts,
    date_reader,
    is_empty,
    is_nan_text,
    read_category,
    read_number,
)

Kind: TypeAlias = Literal["number", "category", "date"]
Scaling: TypeAlias = Literal["standard", "quantile"]
KINDS: tuple[Kind, ...] = ("number", "date", "category")  # the first that fits every cell
QUANTILES = 256  # of a column, at most


@dataclass(frozen=True)
class CellColumn:
    """One column of a table, as it was in training.

    Args:
        name: the name of the column.
        kind: what its cells are.
        mean: of the numbers, or of the days of dates.
        deviation: their standard deviation; 1 if they are all equal.
        quantiles: the quantiles of the numbers, if they are scaled by quantiles.
        edges: the edges of the pieces of the scaled numbers, for piecewise-linear embeddings.
        categories: the names of the categories.
    """

    name: str
    kind: Kind
    mean: float = 0.0
    deviation: float = 1.0
    quantiles: list[float] = field(default_factory=list)
    edges: list[float] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """Returns the column as plain data."""
        return asdict(self)

    def scaled(self, numbers: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """Returns numbers standardised, or by their quantiles as of a normal distribution."""
        if not self.quantiles:
            return (numbers - self.mean) / self.deviation
        return _normal_scores(numbers, np.array(self.quantiles))


def _normal_scores(numbers: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    from scipy.special import ndtri

    levels = np.linspace(0, 1, len(quantiles))
    # the mean of both sides: a number that is many quantiles gets the middle of their levels
    below = np.interp(numbers, quantiles, levels)
    above = 1 - np.interp(-numbers, -quantiles[::-1], levels)
    edge = 0.5 / len(quantiles)
    return ndtri(np.clip((below + above) / 2, edge, 1 - edge))


def learned_number(name: str, numbers: np.ndarray, scaling: Scaling, num_pieces: int) -> CellColumn:
    """Learns a column of numbers.

    Args:
        name: of the column.
        numbers: the training cells without the empty ones.
        scaling: how numbers are scaled.
        num_pieces: the largest number of pieces between quantiles.
    """
    deviation = float(numbers.std())
    column = CellColumn(
        name,
        "number",
        float(numbers.mean()),
        deviation if deviation > 0 and math.isfinite(deviation) else 1.0,
        _quantiles(numbers, min(QUANTILES, len(numbers))) if scaling == "quantile" else [],
    )
    edges = np.unique(_quantiles(column.scaled(numbers), num_pieces + 1))
    return CellColumn(**{**column.plain(), "edges": edges.tolist()})


def _quantiles(numbers: np.ndarray, count: int) -> list[float]:
    return np.quantile(numbers, np.linspace(0, 1, max(count, 2))).tolist()


def learned_dates(name: str, days: np.ndarray) -> CellColumn:
    """Learns the mean and the deviation of the days of a column of dates."""
    return CellColumn(name, "date", float(days.mean()), float(days.std()) or 1.0)


def learned_categories(name: str, categories: Iterable[str], min_count: int) -> CellColumn:
    """Learns the categories that occur often enough, in the order of their names."""
    counts = Counter(categories)
    known = sorted(category for category, count in counts.items() if count >= min_count)
    return CellColumn(name, "category", categories=known)


class CellReader:
    """Reads the cells of all columns as rows of five numbers.

    A row is the number of the column, a number, and the phases of a date in year, week and day.
    The number is the scaled number, the trend of a date, or the index of a category: 0 for an
    unknown one.

    Args:
        columns: what is known of the columns.
        date_format: how dates are written; None: ISO 8601.
    """

    def __init__(self, columns: Sequence[CellColumn], date_format: str | None) -> None:
        self.columns = list(columns)
        self.read_date = date_reader(date_format)
        self.indices = [
            {category: index + 1 for index, category in enumerate(column.categories)}
            for column in columns
        ]

    def rows(self, cells: Mapping[str, object]) -> tuple[list[list[float]], list[tuple[str, str]]]:
        """Returns a row for each cell that is not empty, and the unknown categories.

        Raises:
            UserError: a cell is not what its column holds.
        """
        rows: list[list[float]] = []
        unknown: list[tuple[str, str]] = []
        for number, column in enumerate(self.columns):
            cell = cells.get(column.name)
            if is_empty(cell) or (column.kind != "category" and is_nan_text(cell)):
                continue
            try:
                values = self._values(number, column, cell)
            except UserError as error:
                raise UserError(f"column {column.name!r}: {error}") from None
            if column.kind == "category" and values[0] == 0:
                unknown.append((column.name, str(cell)))
            rows.append([float(number), *values])
        return rows, unknown

    def _values(self, number: int, column: CellColumn, cell: object) -> list[float]:
        if column.kind == "category":
            return [float(self.indices[number].get(read_category(cell), 0)), 0.0, 0.0, 0.0]
        if column.kind == "date":
            days, *phases = date_parts(self.read_date(cell))
            return [(days - column.mean) / column.deviation, *phases]
        value = read_number(cell)
        if column.quantiles:
            value = float(column.scaled(np.array([value]))[0])
        else:
            value = (value - column.mean) / column.deviation
        return [max(-_FAR, min(_FAR, value)), 0.0, 0.0, 0.0]


_FAR = 1e4  # deviations: a number beyond it would be infinite to the layers that follow


class ColumnFitter:
    """Collects the training cells of one column.

    Args:
        name: of the column.
        kind: what its cells are; None: what they all can be read as.
        date_format: how dates are written; None: ISO 8601.
    """

    def __init__(self, name: str, kind: Kind | None, date_format: str | None) -> None:
        self.name = name
        self.read_date = date_reader(date_format)
        self.kinds: list[Kind] = list(KINDS) if kind is None else [kind]
        self.collected: dict[Kind, list[Any]] = {kind: [] for kind in self.kinds}

    def add(self, cell: object) -> None:
        """Adds a cell that is not empty.

        Raises:
            UserError: it is not what the column holds.
        """
        if self.kinds != ["category"] and is_nan_text(cell):
            return
        for kind in list(self.kinds):
            try:
                value = self._read(kind, cell)
            except UserError as error:
                if len(self.kinds) == 1:
                    raise UserError(f"column {self.name!r}: {error}") from None
                self.kinds.remove(kind)
                del self.collected[kind]
            else:
                self.collected[kind].append(value)

    def _read(self, kind: Kind, cell: object) -> object:
        if kind == "category":
            return read_category(cell)
        if kind == "number":
            return read_number(cell)
        return date_parts(self.read_date(cell))[0]

    def learned(self, scaling: Scaling, num_pieces: int, min_count: int) -> CellColumn | None:
        """Returns what the column is; None: it has no cell, or the same in all rows."""
        kind = self.kinds[0]
        values = self.collected[kind]
        if kind == "category":
            column = learned_categories(self.name, values, min_count)
            return column if len(set(values)) > 1 else None
        numbers = np.array(values, np.float64)
        if len(numbers) == 0 or numbers.min() == numbers.max():
            return None
        if kind == "date":
            return learned_dates(self.name, numbers)
        return learned_number(self.name, numbers, scaling, num_pieces)
