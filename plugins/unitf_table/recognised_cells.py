"""Recognises columns of numbers, categories and dates."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from unitf import Column, Proposal, UserError
from unitf_table.cell_values import date_reader, is_nan_text, read_category, read_number

_WORDS = 4  # of a category, at most
_RECIPE = {"model.core.dropout": 0.1, "model.optimizer.init_args.weight_decay": 0.1}
_FEW = 1_000  # rows: pieces of a number have too few each, and an epoch has few steps
_FEW_SETTINGS = {"embedding": "linear", "cell_dropout": 0.3}
_FEW_SEEN = 10_000  # rows, again and again, of all epochs


def propose_cells(column: Column) -> Proposal | None:
    """Returns how TableCells reads the values of a column; None: they are no such cells.

    Whole numbers that rise from each sample to the next are the numbers of rows: a model would
    learn the order of the file from them.
    """
    if column.written or any(isinstance(value, bytes) for value in column.values):
        return None
    values = [value for value in column.values if not is_nan_text(value)]
    if not values:
        return None
    if (numbers := _read(values, read_number)) is not None:
        if _are_rows(numbers):
            return None
        return _proposal(
            "numbers", column, 0.8, f"numbers from {min(numbers):g} to {max(numbers):g}"
        )
    if _read(values, date_reader(None)) is not None:
        return _proposal("dates", column, 0.85, f"dates such as {str(values[0])[:20]}")
    categories = _read(column.values, read_category)  # NA may be one
    if categories is None:
        return None
    different = set(categories)
    return_often = len(different) > 1 and len(different) * 5 <= len(categories)
    if not return_often or max(len(name.split()) for name in different) > _WORDS:
        return None
    return _proposal("categories", column, 0.7, f"{len(different)} categories")


def _proposal(kind: str, column: Column, confidence: float, reason: str) -> Proposal:
    few = column.num_samples < _FEW
    settings = {kind: [column.name], **(_FEW_SETTINGS if few else {"cell_dropout": 0.1})}
    epochs = min(100, max(20, round(_FEW_SEEN / max(1, column.num_samples))))
    recipe = {**_RECIPE, "trainer.max_epochs": epochs} if few else _RECIPE
    return Proposal(settings, confidence, f"{reason}, one token a cell", recipe)


def _read(values: Sequence[object], read: Callable[[object], Any]) -> list[Any] | None:
    """Returns all values as what they are read as; None: one of them cannot be read so."""
    try:
        return [read(value) for value in values]
    except UserError:
        return None


def _are_rows(numbers: Sequence[float]) -> bool:
    pairs = list(itertools.pairwise(numbers))
    whole = all(number == int(number) for number in numbers)
    return len(pairs) > 5 and whole and all(one < other for one, other in pairs)
