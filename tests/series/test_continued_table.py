"""`unitf predict --input table.csv` continues the table of a run whose source cuts windows."""

import csv
import json

import numpy as np
import pandas
import pytest
import torch
from unitf_series import Forecast, SeriesPatches

from unitf import Learner, TransformerConfig
from unitf.cli.continued_table import samples_of_source
from unitf.cli.predict import main
from unitf.data import Windows


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder of a run, whose model is made and not read from there."""
    times = pandas.date_range("2024-03-01", periods=100, freq="h")
    table = pandas.DataFrame({"when": times, "load": 500 + np.arange(100.0), "oil": 3.0})
    table["oil"] += np.sin(np.arange(100))
    table.to_csv(tmp_path / "plant.csv", index=False)
    settings = {"path": "plant.csv", "past": 16, "future": 4, "time": "when", "standardise": True}
    entry = {"class_path": "Windows", "init_args": settings}
    recipe = {"data": {"root": str(tmp_path), "sources": {"plant": entry}}}
    (tmp_path / "config.yaml").write_text(json.dumps(recipe))
    torch.manual_seed(0)
    model = Learner(
        TransformerConfig(dim=8, depth=1, num_heads=2),
        {"series": lambda dim: SeriesPatches(dim, patch=4)},
        {"next": Forecast(["series"], "future", quantiles=[0.1, 0.5, 0.9], shortcut="ridge")},
    )
    model.tasks["next"].fit(Windows(**settings).read("train", tmp_path))
    model.build_components()
    monkeypatch.setattr("unitf.loading.load", lambda path: model.eval())
    table[:90].to_csv(tmp_path / "now.csv", index=False)
    return tmp_path


def test_the_table_goes_on_in_its_unit_with_times_and_quantiles(run, capsys):
    argv = ["--checkpoint", str(run), "--input", str(run / "now.csv")]
    assert main([*argv, "--out", str(run / "next.csv")]) == 0
    assert "4 rows" in capsys.readouterr().out
    with (run / "next.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = ["when", "load", "oil", "load_0.1", "oil_0.1", "load_0.5", "oil_0.5", "load_0.9"]
    assert list(rows[0]) == [*names, "oil_0.9"]
    assert [row["when"] for row in rows] == [f"2024-03-04 {hour}:00:00" for hour in range(18, 22)]
    for row in rows:
        assert 560 < float(row["load"]) < 620 and float(row["load"]) == float(row["load_0.5"])
        assert float(row["oil_0.1"]) <= float(row["oil"]) <= float(row["oil_0.9"])
    assert main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["when"] == rows[0]["when"]
    assert main(argv) == 0
    assert "2024-03-04 21:00:00" in capsys.readouterr().out


def test_a_folder_has_the_rows_and_a_picture_of_the_band(run):
    out = run / "out"
    argv = ["--checkpoint", str(run), "--input", str(run / "now.csv"), "--out", f"{out}/"]
    assert main(argv) == 0
    assert len((out / "predictions.csv").read_text().splitlines()) == 5
    [picture] = out.glob("*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    asked = samples_of_source([str(run / "now.csv")], str(run))
    sample, made = asked.restored(0, {"forecast": [[0.0, 1.0]] * 4})
    assert sample["series"][-1, 0] == pytest.approx(589) and made["columns"] == ["load", "oil"]


def test_other_inputs_and_other_sources_are_read_as_usual(run):
    assert samples_of_source([str(run / "now.csv"), "more"], str(run)) is None
    assert samples_of_source([str(run / "config.yaml")], str(run)) is None
    table = {"class_path": "Table", "init_args": {"path": "plant.csv"}}
    (run / "config.yaml").write_text(json.dumps({"data": {"sources": {"plant": table}}}))
    assert samples_of_source([str(run / "now.csv")], str(run)) is None
