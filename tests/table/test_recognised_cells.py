"""Columns that TableCells recognises, and a recipe that reads several of them together."""

import pytest
from unitf_table import TableCells

from unitf import Column
from unitf.recognition.asking import Answer
from unitf.recognition.joining import joined

DATES = [f"2024-01-{day:02d}" for day in range(1, 20)]


def column(values, name="x", **more):
    return Column(name, values, len(values), **more)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1.5", "2", "-3e4", "NaN", "0", "7"], "numbers"),
        (["1.5", "n/a", "-", "2", "7", "0.5"], "numbers"),
        (DATES, "dates"),
        ([f"{day}.1.2024{time}" for day in range(2, 31) for time in ("", " 14:30")], "dates"),
        (["NA", "SA"] * 10, "categories"),
        (["York", "Kiel"] * 10, "categories"),
        ([True, False] * 10, "numbers"),
    ],
)
def test_cells_are_recognised_by_their_values(values, kind):
    proposal = TableCells.recognise(column(values))
    assert proposal is not None and proposal.settings[kind] == ["x"]


@pytest.mark.parametrize(
    "values",
    [
        [str(number) for number in range(1, 20)],  # the numbers of rows
        ["a text of several words"] * 10 + ["another text of several words"] * 10,
        [f"name{number}" for number in range(20)],
        ["1.2.24.5", "2.2.24.5"] * 10 + [f"{n}.{n}.1.1" for n in range(20)],  # versions
        ["n/a", "-"] * 10,
        [b"\x89PNG"] * 10,
        [[1, 2], [3, 4]],
    ],
)
def test_other_values_are_not(values):
    assert TableCells.recognise(column(values)) is None


def test_columns_of_one_tokenizer_are_one_input():
    columns = [column(["1", "3", "2"], "a"), column(["York", "Kiel"] * 5, "cells")]
    columns.append(column(["x y z"], "text"))

    def answer(one, name="TableCells"):
        proposal = TableCells.recognise(one) or TableCells.recognise(columns[0])
        assert proposal is not None
        return Answer(TableCells if name == "TableCells" else str, name, "table", proposal)

    encoders = {c.name: answer(c, "Words" if c.name == "text" else "TableCells") for c in columns}
    inputs = joined(columns, encoders)
    assert list(inputs) == ["cells_", "text"]
    settings = inputs["cells_"].proposal.settings
    assert settings["numbers"] == ["a"] and settings["categories"] == ["cells"]


def test_a_cell_alone_is_a_row_if_one_column_is_named():
    tokenizer = TableCells(8, numbers=["age"])
    tokenizer.fit(["1", "2"])
    assert tokenizer.encode("3").num_tokens == 1
