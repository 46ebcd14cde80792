"""A run that goes on: by itself with `--resume auto`; each stretch keeps its configuration."""

import os

import pytest
import yaml

from unitf import UserError
from unitf.cli import main
from unitf.cli.resume_auto import resolve_auto
from unitf.cli.run_folder import is_finished, mark_finished

BEGIN = ["--config", "toy.yaml", "--resume", "auto", "--data.batch_size", "8"]


def made(folder, saved_at, finished=False, checkpoint=True):
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").touch()
    if checkpoint:
        last = folder / "checkpoints" / "last.ckpt"
        last.touch()
        os.utime(last, (saved_at, saved_at))
    if finished:
        mark_finished(folder)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_newest_unfinished_run_of_the_recipe_goes_on(tmp_path, capsys):
    runs = tmp_path / "runs" / "toy"
    made(runs / "a", 100)
    made(runs / "b", 300)
    made(runs / "c", 200)
    made(runs / "d", 400, finished=True)
    made(runs / "e", 500, checkpoint=False)
    made(tmp_path / "runs" / "other" / "f", 600)
    words = resolve_auto(BEGIN)
    assert words == ["--data.batch_size", "8", "--resume", "runs/toy/b"]
    line = "unitf: --resume auto: the run in runs/toy/b goes on, with its own config.yaml\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("finished", [False, True])
def test_without_an_unfinished_run_it_starts_anew(tmp_path, capsys, finished):
    if finished:
        made(tmp_path / "runs" / "toy" / "a", 100, finished=True)
    assert resolve_auto(BEGIN) == ["--config", "toy.yaml", "--data.batch_size", "8"]
    assert "no unfinished run with a checkpoint in runs/toy: the run starts anew" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("out", [["--out", "mine"], ["--out=mine"]], ids=len)
def test_the_folder_that_is_given_goes_on_starts_or_is_finished(tmp_path, out, capsys):
    assert resolve_auto([*BEGIN, *out])[-2:] == ["--out", "mine"]
    made(tmp_path / "mine", 100)
    assert resolve_auto([*BEGIN, *out]) == ["--data.batch_size", "8", "--resume", "mine"]
    assert resolve_auto(["--resume=auto", *out]) == ["--resume", "mine"]
    mark_finished(tmp_path / "mine")
    with pytest.raises(SystemExit) as ending:
        resolve_auto([*BEGIN, *out])
    assert ending.value.code == 0
    assert "the run in mine is finished, there is nothing to do" in capsys.readouterr().err


def test_other_processes_say_nothing(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    resolve_auto(BEGIN)
    assert capsys.readouterr().err == ""


def test_without_a_recipe_or_a_folder_it_is_refused():
    with pytest.raises(UserError, match="--resume auto: expected --config"):
        resolve_auto(["--resume", "auto"])
    assert resolve_auto(["--resume", "runs/a"]) == ["--resume", "runs/a"]


def test_each_stretch_keeps_its_configuration_and_the_schedule_goes_on(recipe, tmp_path, caplog):
    out, quick = tmp_path / "run", ["--test_after_fit", "false"]
    again = ["fit", "--config", str(recipe), "--out", str(out), "--resume", "auto", *quick]
    assert main([*again, "--trainer.max_epochs", "1"]) == 0
    assert is_finished(out)
    assert main(["fit", "--resume", str(out), *quick]) == 0  # the same: nothing new to keep
    assert not list(out.glob("config-*"))
    other = ["--trainer.max_epochs", "2", "--data.batch_size", "8"]
    assert main(["fit", "--resume", str(out), *quick, *other]) == 0
    sizes = {
        name: yaml.safe_load((out / name).read_text())["data"]["batch_size"]
        for name in ("config-1.yaml", "config.yaml")
    }
    assert sizes == {"config-1.yaml": 16, "config.yaml": 8}
    (line,) = [text for text in caplog.messages if "goes on with" in text]
    assert "data.batch_size 8 (before: 16): from epoch 1 on; the schedule goes on at step" in line
    assert main(["fit", "--resume", str(out), *quick, "--trainer.max_epochs", "3"]) == 0
    assert (out / "config-2.yaml").is_file()
