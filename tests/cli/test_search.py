"""`unitf search`: the first trial is the recipe, and a search goes on where it was killed."""

import csv
from pathlib import Path

import pytest
import yaml
from in_process import Ended, KilledError
from optuna.trial import TrialState

import unitf
from unitf.cli import child_runs, main
from unitf.cli.search_pruning import TrialWatch
from unitf.cli.search_space import (
    SearchChoices,
    SearchRange,
    as_plain,
    check_keys,
    samples_of,
    short_names,
    to_space,
    with_defaults,
)
from unitf.cli.search_study import SearchStudy
from unitf.errors import UserError

SPACE = "model.core.dim: [8, 16]\nmodel.optimizer.lr: {low: 1e-3, high: 1e-2, log: true}\n"


def trials() -> list[dict[str, str]]:
    return list(csv.DictReader(Path("found/trials.csv").read_text().splitlines()))


def test_a_search_that_is_killed_loses_and_repeats_no_trial(recipe, runner, capsys):
    Path("space.yaml").write_text(SPACE)
    words = ["search", "--config", str(recipe), "--space", "space.yaml", "--out", "found"]
    words += ["--trials", "3", "--trainer.max_epochs", "1"]
    with pytest.raises(KilledError):
        main(words)
    begun = yaml.safe_load(Path("found/trial-01/recipe.yaml").read_text())
    capsys.readouterr()
    assert main(words) == 2
    assert "it goes on with: unitf search --resume found" in capsys.readouterr().err
    assert main(["search", "--resume", "found"]) == 0

    rows = trials()
    assert [row["number"] for row in rows] == ["0", "1", "2"]
    assert {row["state"] for row in rows} == {"complete"}
    assert (rows[0]["model.core.dim"], rows[0]["model.optimizer.lr"]) == ("16", "0.001")
    assert yaml.safe_load(Path("found/trial-01/recipe.yaml").read_text()) == begun
    assert begun["trainer"]["max_epochs"] == 1
    fits = [line for line in runner.words if line[0] == "fit"]
    assert [line[line.index("--out") + 1] for line in fits] == [
        f"found/trial-{number:02d}" for number in (0, 1, 1, 2)
    ]
    assert all("--test_after_fit=false" in line for line in fits)
    assert runner.words[-1] == ["test", "--checkpoint", "found"]

    told = capsys.readouterr().out
    best = max(rows, key=lambda row: (float(row["validation/speed/accuracy"]), -int(row["number"])))
    head, *_ = Path("found/best.yaml").read_text().splitlines()
    assert head.startswith(f"# The best of 3 trials, number {best['number']}: speed accuracy")
    assert f"best      trial {best['number']}, speed accuracy" in told and "test" in told
    width = yaml.safe_load(Path("found/best.yaml").read_text())["model"]["core"]["dim"]
    assert unitf.load("found").config.dim == width == int(best["model.core.dim"])


def test_trials_that_fail_are_said_and_if_all_do_it_is_an_error(
    recipe, runner, capsys, monkeypatch
):
    def fails(words, output):
        Path(words[words.index("--out") + 1], "output.log").write_text("x\nunitf: error: too big\n")
        return Ended(2)

    monkeypatch.setattr(child_runs, "_started", fails)
    Path("space.yaml").write_text(SPACE)
    words = ["search", "--config", str(recipe), "--space", "space.yaml", "--out", "found"]
    assert main([*words, "--trials", "2"]) == 2
    told = capsys.readouterr()
    assert told.out.count("→ failed: too big") == 2
    assert "search: all 2 trials failed, the first by: too big" in told.err
    assert [row["error"] for row in trials()] == ["too big"] * 2


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("optimizer.lr: [1]", "there is no such key; did you mean model.optimizer.lr"),
        ("model.core.dim: [8, wide]", "model.core.dim: found wide, expected a whole number"),
    ],
)
def test_a_mistake_in_a_space_is_one_line_before_the_first_trial(
    recipe, runner, capsys, space, message
):
    Path("space.yaml").write_text(space)
    words = ["search", "--config", str(recipe), "--space", "space.yaml", "--out", "found"]
    assert main(words) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("unitf: error: space.yaml: ") and message in line
    assert not runner.words and not Path("found").exists() and not Path("runs").exists()


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"model.tasks.sped.dropout": [0]}, "there is no 'sped'; did you mean speed"),
        ({"model.core.depth": {"low": 1, "hihg": 3}}, "depth: found hihg; did you mean high?"),
        ({"model.core.depth": 3}, "depth: found 3, expected a list of choices, or {low"),
        ({"model.decay": {"low": 0.1, "high": 1}}, "the recipe has null, expected a list"),
        ({"model.x": {"low": 0, "high": 1, "log": True}}, "expected low above 0"),
    ],
)
def test_what_is_no_space_is_said(plain, message):
    tasks = {"speed": {"class_path": "Classification", "init_args": {"dropout": 0.0}}}
    with pytest.raises(UserError) as error:
        check_keys(space := to_space(plain, "s"), {"model": {"tasks": tasks}}, "s")
        with_defaults(space, dict.fromkeys(plain), "s")
    assert message in str(error.value)


def test_a_space_has_the_recipes_own_values_and_each_choice_is_tried_beforehand():
    plain = {"a.dim": [8, "x"], "a.lr": {"low": 0.1, "high": 1.0}, "b.depth": {"low": 2, "high": 4}}
    space = with_defaults(to_space(plain, "s"), {"a.dim": 4, "a.lr": 2.0, "b.depth": 3}, "s")
    assert space["a.dim"] == SearchChoices(("4", "8", "x"))
    assert space["a.lr"] == SearchRange(0.1, 2.0)
    assert space["b.depth"] == SearchRange(2, 4) and space["b.depth"].is_whole
    assert to_space(as_plain(space), "s") == space
    assert [sample["a.dim"] for sample in samples_of(space)] == [4, 8, "x"]
    names = short_names(["m.core.dropout", "m.task.init_args.dropout", "m.lr"])
    assert list(names.values()) == ["core.dropout", "task.dropout", "lr"]


def test_a_trial_that_is_behind_the_others_ends_early(tmp_path):
    study = SearchStudy(tmp_path, {"x": SearchRange(0.0, 1.0)}, {"x": 0.5}, "max", 0)
    ended = []
    for number, accuracy in enumerate([0.8, 0.7, 0.9, 0.8, 0.5, 0.85]):
        trial, file = study.next(), tmp_path / f"{number}.csv"
        watch = TrialWatch(trial, file, "validation/accuracy", "max", None)
        assert not watch()  # nothing is measured yet
        for epoch in range(6):
            rows = [f"{e},,{accuracy + e / 100}\n" for e in range(epoch + 1)]
            file.write_text("epoch,loss,validation/accuracy\n" + "".join(rows))
            if watch():
                ended.append((number, epoch))
                break
        state = TrialState.PRUNED if watch.is_pruned else TrialState.COMPLETE
        study.tell(trial, None if watch.is_pruned else accuracy, state)
    assert ended == [(4, 4)]
    assert study.trials()[0].params == {"x": 0.5}
    assert [trial.number for trial in study.complete()] == [2, 5, 0, 3, 1]
    again = SearchStudy(tmp_path, {"x": SearchRange(0.0, 1.0)}, {"x": 0.5}, "max", 0)
    assert len(again.trials()) == 6
