"""Windows of a table with a time column: a past and the future after it."""

from pathlib import Path

import numpy as np
import pandas
import pytest

from unitf import UserError
from unitf.data import Table, Windows


@pytest.fixture
def hours(tmp_path) -> Path:
    times = pandas.date_range("2020-01-01", periods=400, freq="h")
    numbers = np.arange(400.0)
    frame = pandas.DataFrame({"date": times, "up": numbers, "down": 10 - 2 * numbers})
    frame.loc[5, "down"] = np.nan
    frame.to_csv(tmp_path / "hours.csv", index=False)
    return tmp_path


def windows(**settings) -> Windows:
    return Windows(**{"path": "hours.csv", "past": 4, "future": 2, "time": "date", **settings})


def test_a_window_is_a_past_and_the_rows_after_it(hours):
    sample = windows().read("train", hours)[7]
    assert sample["series"][:, 0].tolist() == [7, 8, 9, 10]
    assert sample["future"][:, 0].tolist() == [11, 12]
    assert sample["future"][:, 1].tolist() == [-12, -14]


def test_a_missing_cell_is_no_number(hours):
    assert np.isnan(windows().read("train", hours)[4]["series"][1, 1])


def test_every_future_lies_in_its_split_and_only_a_past_reaches_back(hours):
    source = windows()
    futures = {
        split: np.unique([sample["future"][:, 0] for sample in source.read(split, hours)])
        for split in source.splits()
    }
    assert futures["train"].max() < 280 and futures["train"].min() == 4
    assert (futures["validation"].min(), futures["validation"].max()) == (280, 319)
    assert (futures["test"].min(), futures["test"].max()) == (320, 399)
    assert source.read("validation", hours)[0]["series"][0, 0] == 276


@pytest.mark.parametrize(
    "parts",
    [
        {"train": [0, 100], "test": [100, 200]},
        {"train": [0.0, 0.25], "test": [0.25, 0.5]},
        {"train": [0, "2020-01-05 04:00"], "test": ["2020-01-05 04:00", "2020-01-09 08:00"]},
    ],
    ids=["rows", "fractions", "times"],
)
def test_parts_are_rows_fractions_or_times(hours, parts):
    source = windows(parts=parts)
    assert len(source.read("train", hours)) == 100 - 6 + 1
    assert source.read("test", hours)[0]["future"][0, 0] == 100
    assert len(source.read("validation", hours)) == 0


def test_deviations_are_those_of_the_training_rows(hours):
    samples = windows(standardise=True).read("train", hours)
    rows = np.concatenate([samples.values[:280, 0]])
    assert abs(rows.mean()) < 1e-9 and abs(rows.std() - 1) < 1e-9


def test_rows_in_another_order_are_sorted_by_time_and_it_is_said(hours, caplog):
    frame = pandas.read_csv(hours / "hours.csv").iloc[::-1]
    frame.to_csv(hours / "back.csv", index=False)
    back = windows(path="back.csv").read("train", hours)[7]
    assert back["series"][:, 0].tolist() == [7, 8, 9, 10]
    assert "rows are sorted by date" in caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"past": 0}, "past: expected 1 or more, found 0"),
        ({"time": "data"}, "no column 'data'; did you mean date?"),
        ({"columns": ["date"]}, "column date holds no numbers"),
        ({"time": "up"}, "column up holds no times"),
        ({"parts": {"train": [0, 300], "test": [200, 400]}}, "parts train and test overlap"),
        ({"parts": {"train": [0, 500]}}, "has the rows 0 to 500, expected rising ones of 400"),
        ({"parts": {"train": [0, "soon"]}}, "has the bound 'soon', expected a row"),
        ({"past": 300}, "part train has 280 rows, expected 302 or more"),
        ({"parts": {"trian": [0, 100]}}, "unknown split 'trian'; did you mean train?"),
    ],
)
def test_a_mistake_is_one_line(hours, settings, message):
    with pytest.raises(UserError) as caught:
        windows(**settings).read("train", hours)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_table_of_even_times_is_recognised_before_a_plain_table(hours):
    proposal = Windows.recognise(hours / "hours.csv")
    assert proposal.settings["time"] == "date" and proposal.target == "future"
    assert proposal.settings["future"] == 10 and proposal.settings["past"] % 16 == 0
    assert proposal.confidence > Table.recognise(hours / "hours.csv").confidence


def test_days_may_stand_before_their_month(hours):
    frame = pandas.read_csv(hours / "hours.csv")
    frame["date"] = pandas.to_datetime(frame["date"]).dt.strftime("%d.%m.%Y %H:%M")
    frame[:280].to_csv(hours / "german.csv", index=False, sep=";", decimal=",")  # 12 days
    assert Windows.recognise(hours / "german.csv").settings["time"] == "date"
    german = windows(path="german.csv").read("train", hours)
    np.testing.assert_equal(german.values, windows().read("train", hours).values[:280])
    with pytest.raises(UserError, match="expected a row, a fraction, or a time"):
        windows(path="german.csv", parts={"train": [0, "01.02.2020"]}).read("train", hours)


@pytest.mark.parametrize("change", ["a text", "another order", "too short"])
def test_other_tables_are_no_series(hours, change):
    frame = pandas.read_csv(hours / "hours.csv")
    if change == "a text":
        frame["up"] = "word"
    elif change == "another order":
        frame = frame.sample(frac=1, random_state=0)
    else:
        frame = frame[:50]
    frame.to_csv(hours / "other.csv", index=False)
    assert Windows.recognise(hours / "other.csv") is None
