"""RunReport and Summary: what a run leaves in its folder, and says at its end."""

import csv
import json
from importlib import metadata

import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import STEPS, Cut, CutError, small_data
from toys import make_learner, make_trainer

import unitf
from unitf.tasks import NextToken
from unitf.training.callbacks import Checkpoint, RunReport, Summary, gallery
from unitf.training.callbacks.plots import draw_confusion, draw_curves, draw_modalities
from unitf.training.callbacks.summary import _inputs, _metrics, _print_table
from unitf.training.callbacks.versions import versions

pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec.*:FutureWarning")
MODALITIES = {"all", "waves", "beats", "waves+beats"}


def fit(folder, resume=None, others=(), **settings):
    torch.manual_seed(0)
    learner = make_learner()
    trainer = make_trainer(
        folder,
        callbacks=[RunReport(), Summary(), Checkpoint(str(folder)), *others],
        enable_checkpointing=True,
        **{"max_epochs": 2, **settings},
    )
    trainer.fit(learner, datamodule=small_data(), ckpt_path=resume, weights_only=True)
    return learner, trainer


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two epochs and its test: the folder, the Learner, the Trainer."""
    folder = tmp_path_factory.mktemp("run")
    learner, trainer = fit(folder)
    trainer.test(
        learner, datamodule=small_data(), ckpt_path="best", verbose=False, weights_only=True
    )
    return folder, learner, trainer


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_metrics_tell_every_split_task_and_modality(run):
    folder, learner, trainer = run
    results = metrics_of(folder)["results"]
    assert set(results) == {"validation", "test"}
    keeper = trainer.checkpoint_callback
    for split, measured in (("validation", keeper.best_results), ("test", learner.results["test"])):
        assert set(results[split]["speed"]) == MODALITIES
        for modality, figures in measured["speed"].items():
            written = results[split]["speed"][modality]
            assert set(written) == set(figures) - {"confusion"}
            for name, value in written.items():
                assert value == pytest.approx(figures[name], rel=1e-6)


def test_metrics_tell_what_the_training_was(run):
    folder, learner, trainer = run
    report, keeper = metrics_of(folder), trainer.checkpoint_callback
    assert report["best"] == {
        "monitor": "validation/speed/accuracy",
        "value": pytest.approx(keeper.best_model_score),
        "epoch": keeper.best_epoch,
        "step": keeper.best_step,
    }
    training = report["training"]
    assert (training["epochs"], training["steps"]) == (2, 2 * STEPS)
    assert training["samples"] == 2 * 8 * STEPS
    data = small_data()
    data.connect(learner.tokenizers, learner.tasks)
    assert training["tokens"] == 2 * sum(batch.num_tokens for batch in data.train_dataloader())
    assert training["seconds"] > 0
    assert training["samples_per_second"] == pytest.approx(
        training["samples"] / training["seconds"], rel=0.05
    )
    total = sum(p.numel() for p in learner.parameters())
    parts = report["parameters"]
    assert parts["total"] == total == parts["core"] + parts["tokenizers"] + parts["tasks"]


def test_the_pictures_are_there_and_can_be_seen(run):
    folder, *_ = run
    for name in ("curves.png", "confusion_speed.png", "modalities.png"):
        with Image.open(folder / name) as picture:
            picture.load()
            assert min(picture.size) > 400
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 20
    assert not list(folder.glob(".*"))


def test_the_confusion_is_also_a_table(run):
    folder, learner, _ = run
    rows = list(csv.reader((folder / "confusion_speed.csv").read_text().splitlines()))
    assert rows[0][1:] == [row[0] for row in rows[1:]] == ["fast", "slow"]
    counts = [[int(cell) for cell in row[1:]] for row in rows[1:]]
    assert counts == learner.results["test"]["speed"]["all"]["confusion"]


def test_the_curves_have_a_point_for_every_validation(run):
    _, _, trainer = run
    report = next(c for c in trainer.callbacks if isinstance(c, RunReport))
    assert [row["epoch"] for row in report.history] == [1, 2]
    assert [row["step"] for row in report.history] == [STEPS, 2 * STEPS]
    assert all(np.isfinite(row["train/loss"]) for row in report.history)
    last = report.history[-1]["validation/speed/waves/accuracy"]
    assert last == pytest.approx(trainer_figure(trainer, "waves"))


def trainer_figure(trainer, modality):
    return trainer.lightning_module.results["validation"]["speed"][modality]["accuracy"]


def test_versions_tell_libraries_plugins_and_the_machine(run):
    found = json.loads((run[0] / "versions.json").read_text())
    assert found["unitf"] == unitf.__version__
    assert found["libraries"]["torch"] == metadata.version("torch")
    assert found["libraries"]["lightning"] == metadata.version("lightning")
    assert found["hardware"]["cores"] >= 1
    assert "unitf" not in found["plugins"]
    assert {"package", "version"} <= set(versions()["plugins"]["text"])


def test_a_picture_that_fails_costs_no_figure(tmp_path, monkeypatch):
    def fails(path, **arguments):
        raise RuntimeError("no font")

    monkeypatch.setattr(gallery, "draw_curves", fails)
    with pytest.warns(UserWarning, match=r"curves.png was not drawn: RuntimeError: no font"):
        fit(tmp_path, max_epochs=1)
    assert metrics_of(tmp_path)["training"]["steps"] == STEPS
    assert (tmp_path / "confusion_speed.png").exists()


def test_a_test_of_its_own_adds_its_split_to_what_is_there(tmp_path):
    (tmp_path / "metrics.json").write_text('{"results": {"validation": {}}, "training": {"a": 1}}')
    trainer = make_trainer(tmp_path, callbacks=[RunReport(str(tmp_path))])
    learner = make_learner()
    trainer.test(learner, datamodule=small_data(), verbose=False)
    report = metrics_of(tmp_path)
    assert set(report["results"]) == {"validation", "test"}
    assert report["training"] == {"a": 1}


def test_a_test_of_an_early_state_takes_nothing_from_the_report(tmp_path):
    fit(tmp_path / "short", max_epochs=1)
    learner, trainer = fit(tmp_path / "long")
    before = metrics_of(tmp_path / "long")["training"]
    early = tmp_path / "short" / "checkpoints" / "last.ckpt"
    trainer.test(
        learner, datamodule=small_data(), ckpt_path=early, verbose=False, weights_only=True
    )
    assert metrics_of(tmp_path / "long")["training"] == before


def test_a_run_that_was_cut_off_counts_on(tmp_path):
    with pytest.raises(CutError):
        fit(tmp_path, others=[Cut(epoch=1)])
    assert metrics_of(tmp_path)["training"]["samples"] == 8 * STEPS
    fit(tmp_path, resume=tmp_path / "checkpoints/last.ckpt")
    assert metrics_of(tmp_path)["training"]["samples"] == 2 * 8 * STEPS
    assert metrics_of(tmp_path)["training"]["epochs"] == 2


def test_the_summary_tells_the_figures_the_files_and_how_to_predict(run, capsys):
    folder, learner, trainer = run
    summary = next(c for c in trainer.callbacks if isinstance(c, Summary))
    summary.show(trainer, learner)
    told = capsys.readouterr().out
    accuracy = learner.results["test"]["speed"]["waves"]["accuracy"]
    lines = [line.split() for line in told.splitlines()]
    (line,) = [line for line in lines if line[:2] == ["test", "waves"]]
    assert f"{accuracy:.4f}" in line
    assert str(int(learner.results["test"]["speed"]["waves"]["num_samples"])) in line
    for name in ("checkpoints/best.ckpt", "metrics.json", "curves.png"):
        assert str(folder / name) in told
    assert f"unitf predict --checkpoint {folder}  # its test samples; --input waves=…" in told
    assert "unitf generate" not in told


def test_the_summary_says_how_to_generate_where_a_task_writes(run, capsys):
    folder, learner, trainer = run
    learner.tasks["next"] = NextToken(["waves"])
    try:
        next(c for c in trainer.callbacks if isinstance(c, Summary)).show(trainer, learner)
    finally:
        del learner.tasks["next"]
    assert f"unitf generate --checkpoint {folder} --input waves=…" in capsys.readouterr().out


@pytest.mark.parametrize(("columns", "lies"), [("200", False), ("60", True)])
def test_a_table_too_wide_for_the_terminal_lies_on_its_side(columns, lies, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    names = ["nats_per_token", "bits_per_byte", "perplexity", "accuracy"]
    found = {"all": {"num_samples": 1234, **{name: 0.25 + n for n, name in enumerate(names)}}}
    ((task, rows),) = _metrics({"test": {"next": found}}).items()
    _print_table(task, rows)
    told = capsys.readouterr().out
    lines = [line.split() for line in told.splitlines()]
    assert "…" not in told
    if lies:
        assert ["modality", "all"] in lines
        assert ["bits", "per", "byte", "1.2500"] in lines
    else:
        assert ["test", "all", "1,234", "0.2500", "1.2500", "2.2500", "3.2500"] in lines


def test_the_summary_names_all_columns_that_a_sample_has_at_once():
    tasks = dict(make_learner().tasks.items())
    assert _inputs({"test": {"speed": {"all": {}, "waves+beats": {}}}}, tasks) == ["waves", "beats"]
    assert _inputs({"test": {"speed": {"all": {}, "mixed": {}, "beats": {}}}}, tasks) == ["beats"]
    assert _inputs({}, tasks) == ["waves"]


def test_the_summary_waits_where_a_test_follows(tmp_path, capsys):
    learner = make_learner()
    trainer = make_trainer(
        tmp_path, callbacks=[Summary(str(tmp_path), test_follows=True)], max_epochs=1
    )
    trainer.fit(learner, datamodule=small_data())
    assert "accuracy" not in capsys.readouterr().out
    trainer.test(learner, datamodule=small_data(), verbose=False)
    assert capsys.readouterr().out.count("accuracy") == 1


def test_a_confusion_of_many_classes_stays_readable(tmp_path):
    names = [f"a rather long name of the intent number {n}" for n in range(77)]
    counts = np.random.default_rng(0).integers(0, 3, (77, 77)) + 40 * np.eye(77, dtype=int)
    draw_confusion(tmp_path / "many.png", counts, names, "intent (test): accuracy 0.5")
    with Image.open(tmp_path / "many.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape[0] / 77 > 20  # pixels for a name of 7 points, which is 11 high
    blue = np.abs(pixels - np.array([8, 48, 107])).max(-1) < 60  # the diagonal
    assert blue.sum() > 77 * 12**2


def test_pictures_without_points_are_drawn_empty(tmp_path):
    draw_curves(tmp_path / "none.png", [], {"loss": [("train/loss", "training", {})]})
    draw_confusion(tmp_path / "zero.png", np.zeros((2, 2)), [True, False], "nothing yet")
    draw_modalities(tmp_path / "one.png", {"x": {"test": {"image": 3.5}}}, None)
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_a_validation_of_a_run_keeps_what_the_training_wrote(run, tmp_path):
    folder, _, _ = run
    before = metrics_of(folder)
    trainer = make_trainer(
        folder, callbacks=[RunReport(), Checkpoint(str(tmp_path))], enable_checkpointing=True
    )
    trainer.validate(
        make_learner(), datamodule=small_data(), verbose=False, weights_only=True,
        ckpt_path=str(folder / "checkpoints" / "best.ckpt"),
    )  # fmt: skip
    after = metrics_of(folder)
    assert before["best"]["monitor"] == "validation/speed/accuracy"
    assert (after["best"], after["training"]) == (before["best"], before["training"])
