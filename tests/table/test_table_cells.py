"""Cells of a table are tokens: what is learned of columns, what is refused, and what is said."""

import math
from datetime import date
from functools import partial

import numpy as np
import pytest
import torch
from toys import make_trainer
from unitf_table import TableCells

from unitf import Learner, SampleError, TransformerConfig, UserError, load
from unitf.data import Encoder, Item, Split, Table
from unitf.data.joined_columns import asked_for
from unitf.tasks import Classification, Regression
from unitf.testing import check_tokenizer
from unitf.training import DataModule

ROWS = [
    {"age": "20", "town": "York", "since": "2024-01-01", "kind": "a"},
    {"age": "30", "town": "Kiel", "since": "2024-01-02", "kind": "b"},
    {"age": "40", "town": "York", "since": "2024-07-01", "kind": "a"},
]
NAMED = {"numbers": ["age"], "categories": ["town"], "dates": ["since"]}


def cells(values=ROWS, **options):
    tokenizer = TableCells(16, **options)
    tokenizer.fit(iter(values))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer.build()
    return tokenizer


def test_other_settings_keep_the_contract_too():
    options = {"embedding": "periodic", "scaling": "quantile", "cell_dropout": 0.3}
    check_tokenizer(TableCells, TableCells.examples(), **options)


def test_a_hint_names_columns_that_a_person_can_type():
    tasks = {"t": Classification(["cells", "a text"], "kind", classes=["a", "b"])}
    hint = asked_for({"cells": cells(**NAMED)}, tasks, ["cells", "a text"])
    assert hint == "age=… town=… since=… 'a text'=…"
    few = {**NAMED, "numbers": ["age", "size"]}
    wide = cells([{**row, "size": n} for n, row in enumerate(ROWS)], **few)
    assert asked_for({"cells": wide}, tasks, ["cells"]) == "age=… size=… town=… …"


def test_an_empty_cell_is_no_token():
    tokenizer = cells(**NAMED)
    for empty in (None, "", "  ", float("nan"), np.datetime64("NaT"), "NaN"):
        features = tokenizer.encode({"age": empty, "town": "York", "since": empty})
        assert tokenizer.names(features) == ["town"]


def test_numbers_are_scaled_by_the_training_cells_alone():
    tokenizer = cells(**NAMED)
    deviation = float(np.std([20, 30, 40]))
    found = tokenizer.encode({"age": 50})
    assert found.values[1].item() == pytest.approx((50 - 30) / deviation)
    ranks = cells(numbers=["age"], scaling="quantile")
    low, middle, high = (ranks.encode({"age": age}).values[1].item() for age in (20, 30, 400))
    assert middle == pytest.approx(0, abs=1e-6) and low == pytest.approx(-high, abs=1e-6)


def test_a_piecewise_embedding_is_linear_within_pieces_and_goes_on_beyond_them():
    numbers = [{"x": value} for value in np.linspace(0, 8, 81)]
    tokenizer = cells(numbers, num_pieces=4)
    columns = {x: tokenizer.encode({"x": x}) for x in (0, 1, 2, 3, 9, 10, 11)}
    at = {x: tokenizer(features).matrix[:, 0] for x, features in columns.items()}
    torch.testing.assert_close(at[1] - at[0], at[2] - at[1])
    assert not torch.allclose(at[3] - at[2], at[2] - at[1])
    torch.testing.assert_close(at[11] - at[10], at[10] - at[9])
    assert not torch.allclose(at[11], at[10])


def test_a_date_is_its_trend_and_its_places_in_year_week_and_day():
    tokenizer = cells(**NAMED)

    def parts(when):
        return tokenizer.encode({"since": when}).values[1:, 0].tolist()

    monday, later = parts("2024-01-01"), parts("2024-01-08 12:00")
    assert monday[1:] == pytest.approx([0, 0, 0], abs=1e-6)
    assert later[2] == pytest.approx(monday[2] + 0.5 / 7, abs=1e-6) and later[3] == 0.5
    assert later[0] > monday[0]
    assert parts(date(2024, 1, 8))[2] == pytest.approx(monday[2], abs=1e-6)
    german = TableCells(16, dates=["since"], date_format="%d.%m.%Y")
    german.fit([{"since": "01.01.2024"}, {"since": "01.07.2024"}])
    assert german.encode({"since": "08.01.2024"}).values[2].item() == pytest.approx(7 / 366)


def test_an_unknown_category_is_its_column_alone_and_is_said_once(caplog):
    tokenizer = cells(**NAMED)
    caplog.clear()
    column = tokenizer(tokenizer.encode({"town": "Oslo"})).matrix[:, 0]
    tokenizer.encode({"town": "Rome"})
    torch.testing.assert_close(column, tokenizer.embedding.column[1])
    [line] = [record.getMessage() for record in caplog.records]
    assert "column 'town': training had no category 'Oslo'" in line


def test_a_category_is_one_however_a_file_writes_it():
    tokenizer = cells([{"code": "1"}, {"code": 2.0}, {"code": " 3 "}], categories=["code"])
    found = [tokenizer.encode({"code": code}).values[1].item() for code in (1, "1.0", "2", 3)]
    assert found == [1, 1, 2, 3]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"age": "12,5"}, "column 'age': found '12,5', expected a finite number such as 12.5"),
        ({"age": "1_000"}, "column 'age': found '1_000', expected a finite number"),
        ({"age": "inf"}, "column 'age': found 'inf', expected a finite number"),
        ({"since": "soon"}, "column 'since': found 'soon', expected a date like 2024-05-31"),
        ({"town": ["York"]}, "column 'town': found list"),
        ("York", "found str 'York', expected a dictionary of cells"),
    ],
)
def test_a_bad_cell_is_one_line(cell, message):
    with pytest.raises(UserError) as caught:
        cells(**NAMED).encode(cell)
    assert str(caught.value).startswith(message)


def test_wrong_settings_are_refused():
    with pytest.raises(UserError, match="'age' is named twice"):
        TableCells(16, numbers=["age"], categories=["age"])
    with pytest.raises(UserError, match="column 'agee': no training sample has a cell of it"):
        cells(numbers=["agee"])
    with pytest.raises(UserError, match="no column whose cells differ"):
        cells([{"age": "1"}, {"age": "1"}])
    with pytest.raises(UserError, match="cell_dropout"):
        TableCells(16, cell_dropout=1.0)


def test_kinds_that_are_not_named_are_decided_and_said(caplog):
    tokenizer = cells([{**row, "same": "x"} for row in ROWS])
    assert [(c.name, c.kind) for c in tokenizer.columns] == [
        ("age", "number"),
        ("town", "category"),
        ("since", "date"),
        ("kind", "category"),
    ]
    text = caplog.text
    assert "numbers (age), categories (town, kind), dates (since)" in text
    assert "left out, the same in all samples: same" in text


def test_cell_dropout_leaves_out_cells_in_training_but_never_all():
    tokenizer = cells(**NAMED, cell_dropout=0.9)
    counts = [tokenizer.encode(ROWS[0], train=True).num_tokens for _ in range(200)]
    assert min(counts) == 1 and max(counts) < 4 and len(set(counts)) > 1
    assert tokenizer.encode(ROWS[0]).num_tokens == 3


def learner(task, **options):
    return Learner(
        core=TransformerConfig(dim=16, depth=1, num_heads=2),
        tokenizers={"cells": partial(TableCells, **options)},
        tasks={"task": task},
        optimizer=partial(torch.optim.AdamW, lr=1e-2),
    )


def write(file, count=60):
    """The target is the sum of two numbers and what a category adds."""
    random = np.random.default_rng(0)
    lines = ["one,two,town,sum,sign"]
    for number in range(count):
        one, two = random.normal(size=2)
        total = one + two + (town := number % 2)
        empty = number % 7 == 1
        lines.append(f"{'' if empty else one},{two},t{town},{total},{'+' if total > 0 else '-'}")
    file.write_text("\n".join(lines) + "\n")


def test_a_table_trains_both_tasks_and_its_checkpoint_keeps_what_was_learned(tmp_path):
    write(tmp_path / "table.csv")
    source = Table("table.csv", split=Split({"test": 0.3}))
    for task in (Regression(["cells"], "sum"), Classification(["cells"], "sign")):
        options = {"numbers": ["one", "two"], "categories": ["town"]}
        model, data = learner(task, **options), DataModule({"t": source}, str(tmp_path), 8)
        data.num_workers = 0
        trainer = make_trainer(tmp_path, max_epochs=12, limit_val_batches=0)
        trainer.fit(model, data)
        trainer.test(model, data, verbose=False)
        found = model.results["test"]["task"]["all"]
        assert found.get("r2", 0) > 0.6 or found.get("accuracy", 0) > 0.75
        trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
        again = load(tmp_path / "model.ckpt")
        sample = {"one": "0.5", "two": 1, "town": "t1", "sum": "9", "unused": "x"}
        assert again.predict([sample]) == model.predict([sample])
        del sample["one"]
        assert again.predict([sample]) != model.predict([{**sample, "one": 3}])
        assert len(again.embed([sample])) == 1


def test_columns_that_no_task_names_are_the_cells_and_the_target_is_not(tmp_path):
    write(tmp_path / "table.csv")
    model = learner(Regression(["cells"], "sum"))
    data = DataModule({"t": Table("table.csv")}, str(tmp_path), 8, num_workers=0)
    model.fit_components(data)
    assert sorted(model.tokenizers["cells"].joined_columns) == ["one", "sign", "town", "two"]


def test_a_bad_cell_of_a_file_is_named_by_row_and_column(tmp_path):
    (tmp_path / "t.csv").write_text('age,sum\n1,2\n"12,5",3\n4,1\n')
    model = learner(Regression(["cells"], "sum"), numbers=["age"])
    data = DataModule({"t": Table("t.csv")}, str(tmp_path), 8, num_workers=0)
    with pytest.raises(SampleError, match=r"t\.csv, row 3: column 'age': found '12,5'"):
        model.fit_components(data)


def test_cells_stand_beside_numbers_of_another_modality_in_one_sequence():
    from toys import Waves

    tokenizers = {"cells": cells(**NAMED), "waves": Waves(16)}
    tokenizers["waves"].fit([np.arange(8.0)])
    task = Classification(["cells", "waves"], "kind")
    task.fit([{**row, "cells": row} for row in ROWS])
    encode = Encoder(tokenizers, {"task": task})
    both = Item({**ROWS[0], "waves": np.arange(8.0)}, "both")
    none = Item({"age": "", "waves": np.arange(8.0), "kind": "b"}, "one")
    batch = encode([both, none]).task_batches["task"]
    assert batch.modalities == ("cells+waves", "waves")
    assert batch.features["cells"].lengths == (3, 0)


def test_large_numbers_stay_finite():
    values = cells(numbers=["age"]).encode({"age": 1e300}).values
    assert math.isfinite(values[1].item())
