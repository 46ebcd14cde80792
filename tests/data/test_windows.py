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
    rows = np.array(
        [sample["series"][0, 0] for sample in samples] + [*samples[-1]["series"][1:, 0]]
    )
    rows = np.concatenate([rows, samples[-1]["future"][:, 0]])
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
        ({"columns": ["date"]}, "column date has two uses, expected one"),
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
    np.testing.assert_equal(german[9], windows().read("train", hours)[9])
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


@pytest.fixture
def stores(hours) -> Path:
    """Two stores of other sizes, a day each row; the later rows of a plan are known."""
    days = pandas.date_range("2021-01-01", periods=120)
    parts: list[pandas.DataFrame] = []
    for name, count, first, region in (("b", 120, 1000.0, "north"), ("a", 90, 0.0, "south")):
        steps = np.arange(count)
        cells = {"sold": first + steps, "visits": 2.0 * steps, "plan": steps % 7, "region": region}
        parts.append(pandas.DataFrame({"store": name, "day": days[:count].date, **cells}))
    pandas.concat(parts).sort_values("day", kind="stable").to_csv(hours / "stores.csv", index=False)
    return hours


STORES = {
    "path": "stores.csv", "past": 5, "future": 2, "time": "day", "group": "store",
    "past_covariates": ["visits"], "future_covariates": ["plan"], "static": ["region"],
}  # fmt: skip


def test_windows_stay_within_their_series_and_parts_are_of_each(stores):
    source = Windows(**STORES)
    train, test = source.read("train", stores), source.read("test", stores)
    assert len(train) == (84 - 6) + (63 - 6)
    first, last = train[0], train[len(train) - 1]
    assert first["region"] == "north" and last["region"] == "south"
    assert first["series"][:, 0].tolist() == [1000, 1001, 1002, 1003, 1004]
    assert first["past_covariates"][:, 0].tolist() == [0, 2, 4, 6, 8]
    assert first["future_covariates"][:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert last["future"][:, 0].tolist() == [61, 62] and train.name(77) == "b, rows 77 to 84"
    assert train.extent(78) == (120, 127)  # apart from all rows of the first series
    assert test[0]["future"][0, 0] == 1096 and test[len(test) - 1]["future"][-1, 0] == 89
    scaled = Windows(**STORES, standardise=True).read("train", stores)
    assert scaled[0]["series"][0, 0] == pytest.approx(-(83 / 2) / np.arange(84).std())
    assert scaled[78]["series"][0, 0] == pytest.approx(-31 / np.arange(63).std())


def test_columns_apart_are_samples_of_their_own(stores):
    settings = {**STORES, "past_covariates": None, "apart": True, "standardise": True}
    samples = Windows(**settings).read("train", stores)
    together = Windows(**{**settings, "apart": False}).read("train", stores)
    assert len(samples) == 2 * len(together)
    for index, channel in ((14, "sold"), (15, "visits")):
        assert samples[index]["channel"] == channel
        wanted = together[7]["series"][:, index % 2 : index % 2 + 1]
        assert np.array_equal(samples[index]["series"], wanted)
        assert np.array_equal(samples[index]["future_covariates"], together[7]["future_covariates"])


def test_uneven_times_are_said_and_filled_or_refused(hours, caplog):
    frame = pandas.read_csv(hours / "hours.csv").drop(index=[50, 51, 52, 100])
    frame.to_csv(hours / "gaps.csv", index=False)
    kept = windows(path="gaps.csv", parts={"train": [0.0, 1.0]})
    assert len(kept.read("train", hours)) == 396 - 5
    assert (
        "2 of 395 steps of date are not 0 days 01:00:00 (the widest is 0 days 04:00:00, after "
        "2020-01-03 01:00:00); rows count as they stand (gaps: keep)" in caplog.text
    )
    filled = windows(path="gaps.csv", parts={"train": [0.0, 1.0]}, gaps="fill").read("train", hours)
    assert len(filled) == 400 - 5 and np.isnan(filled[50]["series"][:3, 0]).all()
    assert filled[50]["series"][3, 0] == 53
    with pytest.raises(UserError, match=r"2 of 395 steps .* expected even ones"):
        windows(path="gaps.csv", gaps="refuse").read("train", hours)


def test_months_are_even(hours, caplog):
    months = pandas.date_range("2000-01-01", periods=60, freq="MS")
    pandas.DataFrame({"date": months, "n": np.arange(60.0)}).to_csv(hours / "m.csv", index=False)
    windows(path="m.csv").read("train", hours)
    assert not caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"group": None, "columns": ["sold"]}, "have the day of the row before, expected `group`"),
        ({"past_covariates": ["plan"]}, "column plan has two uses"),
        ({"static": ["regoin"]}, "no column 'regoin'; did you mean region?"),
        ({"apart": True}, "expected standardise: true beside it"),
        ({"columns": ["region"]}, "column region holds no numbers"),
    ],
)
def test_a_mistake_about_many_series_is_one_line(stores, settings, message):
    with pytest.raises(UserError, match=message) as caught:
        Windows(**{**STORES, **settings}).read("train", stores)
    assert "\n" not in str(caught.value)


def test_a_table_of_many_series_is_recognised(stores):
    frame = pandas.read_csv(stores / "stores.csv").drop(columns=["region"])
    frame.to_csv(stores / "many.csv", index=False)
    proposal = Windows.recognise(stores / "many.csv")
    assert proposal.settings["group"] == "store" and "a series for each store" in proposal.reason


@pytest.mark.parametrize("apart", [False, True])
def test_a_table_is_continued_in_its_own_unit(stores, apart):
    """What is predicted is the value of the last row, in deviations as a model has it."""
    source = Windows(**{**STORES, "past_covariates": []}, standardise=True, apart=apart)
    table = pandas.read_csv(stores / "stores.csv")
    known = table[table["day"] < "2021-03-20"].copy()
    plan = table[(table["day"] >= "2021-03-20") & (table["day"] < "2021-03-22")].copy()
    plan[["sold", "visits"]] = np.nan
    pandas.concat([known, plan]).to_csv(stores / "now.csv", index=False)
    asked = source.to_predict(stores / "now.csv", stores)
    assert len(asked) == (4 if apart else 2) and "future" not in asked[0]
    assert asked[0]["future_covariates"].shape == (7, 1)
    made = []
    for index in range(len(asked)):
        last = np.repeat(asked[index]["series"][-1:], 2, axis=0).tolist()
        made.append({"index": index, "forecast": last, "quantiles": {"0.1": last, "0.9": last}})
    restored = [dict(asked.restored(one["index"], one)[1]) for one in made]
    rows = asked.rows(restored)
    assert [(row["store"], row["day"]) for row in rows] == [
        ("b", "2021-03-20"), ("b", "2021-03-21"), ("a", "2021-03-20"), ("a", "2021-03-21"),
    ]  # fmt: skip
    assert [rows[0]["sold"], rows[3]["visits_0.9"]] == pytest.approx([1077, 154])
    known.to_csv(stores / "short.csv", index=False)
    with pytest.raises(
        UserError, match="store b has 0 rows after its last number, expected 2 with"
    ):
        source.to_predict(stores / "short.csv", stores)


def test_times_go_on_as_they_were(hours):
    source = windows(future=3, columns=["up"])
    asked = source.to_predict(hours / "hours.csv", hours)
    rows = asked.rows([{"index": 0, "forecast": [[1.0], [2.0], [3.0]]}])
    assert rows[1] == {"date": "2020-01-17 17:00:00", "up": 2.0}
    months = pandas.date_range("2000-01-01", periods=30, freq="MS").strftime("%Y-%m-%d")
    pandas.DataFrame({"date": months, "up": 1.0}).to_csv(hours / "m.csv", index=False)
    rows = source.to_predict(hours / "m.csv", hours).rows([{"index": 0, "forecast": [[1.0]] * 3}])
    assert [row["date"] for row in rows] == ["2002-07-01", "2002-08-01", "2002-09-01"]
