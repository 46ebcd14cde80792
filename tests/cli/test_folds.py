"""`unitf fit --folds`: each sample is held out once, and the runs become one model."""

import csv
import json
from pathlib import Path

import pytest
import torch
from in_process import KilledError

import unitf
from unitf.cli import main
from unitf.ensemble import Ensemble, check_averaged
from unitf.errors import UserError
from unitf.tasks import NextToken
from unitf.training.ensemble_learner import EnsembleLearner
from unitf.training.learner import Learner

SAMPLES = [{"waves": torch.sin(torch.arange(20) * rate).numpy() * 3} for rate in (0.3, 1.5, 0.7)]


def probabilities(model):
    return [p["probabilities"]["fast"] for p in model.predict(SAMPLES)]


def test_folds_go_on_after_a_crash_and_become_one_model(recipe, runner, capsys):
    words = ["fit", "--config", str(recipe), "--folds", "2", "--out", "run", "--time", "1h"]
    with pytest.raises(KilledError):
        main(words)
    assert main(words) == 2
    assert "found folds there (fit --resume run goes on)" in capsys.readouterr().err
    assert main(["fit", "--resume", "run"]) == 0
    done = [line[line.index("--out") + 1] for line in runner.words if "--out" in line]
    assert done == ["run/fold-1", "run/fold-2", "run/fold-2"]
    assert "--time=1800s" in runner.words[0]
    assert runner.words[-1] == ["test", "--checkpoint", "run"]
    told = capsys.readouterr()
    assert "--folds 2: 96 samples are parted by a hash within each class" not in told.err
    assert "each sample once" in told.out and "ensemble" in told.out

    table = csv.DictReader(Path("run/folds.csv").read_text().splitlines())
    rows = {(row["split"], row["model"]): row for row in table}
    held = [rows["validation", f"fold-{number}"] for number in (1, 2)]
    once = rows["out of fold", "each sample once"]
    assert float(once["num_samples"]) == sum(float(row["num_samples"]) for row in held) == 96
    right = sum(float(row["accuracy"]) * float(row["num_samples"]) for row in held)
    assert float(once["accuracy"]) == pytest.approx(right / 96)
    mean = (float(held[0]["nll"]) + float(held[1]["nll"])) / 2
    assert float(rows["validation", "mean"]["nll"]) == pytest.approx(mean)

    model = unitf.load("run")
    assert isinstance(model, Ensemble)
    members = [probabilities(unitf.load(f"run/fold-{number}")) for number in (1, 2)]
    assert members[0] != members[1]
    expected = [sum(pair) / 2 for pair in zip(*members, strict=True)]
    assert probabilities(model) == pytest.approx(expected, abs=1e-6)
    tested = json.loads(Path("run/metrics.json").read_text())["results"]["test"]["speed"]["all"]
    assert tested["accuracy"] == pytest.approx(float(rows["test", "ensemble"]["accuracy"]))

    refused = {
        "an ensemble of 2 models does not have columns": lambda: model.embed(SAMPLES),
        "does not have one configuration": model.description,
        "found an ensemble of 2 models, expected one of them, such as run/fold-1": (
            lambda: unitf.Learner(pretrained="run")
        ),
        "an ensemble cannot be trained": lambda: Learner.of(model),
    }
    for message, call in refused.items():
        with pytest.raises(UserError, match=message):
            call()
    with pytest.raises(UserError, match="cannot be trained"):
        EnsembleLearner.of(model).configure_optimizers()
    other = unitf.load("run/fold-1")
    other.tokenizers["waves"].fitted = {"std": 7.0}
    with pytest.raises(UserError, match=r"tokenizers.waves of member 2 has learned something else"):
        Ensemble([unitf.load("run/fold-2"), other])


def test_what_cannot_be_done_is_refused_before_the_first_fold(recipe, runner, capsys):
    words = ["fit", "--config", str(recipe), "--folds"]
    for count, message in {
        "1": "--folds 1: expected a number from 2",
        "97": "source toy: part 1 of 97 has 0 of 96 samples, expected some",
    }.items():
        assert main([*words, count]) == 2
        assert message in capsys.readouterr().err
    assert not runner.words
    with pytest.raises(UserError, match=r"--folds 3: model.tasks.text: what NextToken predicts"):
        check_averaged({"text": NextToken(["text"])}, "--folds 3")
    (recipe.parent / "runs").mkdir(exist_ok=True)
    assert not list((recipe.parent / "runs").iterdir())


@pytest.mark.parametrize("text", ["", "[]", '{"count": 3}', '{"count": "x", "seconds": null}'])
def test_damaged_settings_of_folds_are_one_line(tmp_path, text, capsys):
    (tmp_path / "folds.json").write_text(text)
    assert main(["fit", "--resume", str(tmp_path)]) == 2
    assert "folds.json: damaged, expected count and seconds" in capsys.readouterr().err
