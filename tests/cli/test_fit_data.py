"""`unitf fit PATH`, `unitf recipe PATH` and `unitf.fit`: data in, a model out."""

from pathlib import Path

import numpy as np
import pytest
import yaml

import unitf
from unitf.cli import _data_path, main
from unitf.cli.kept_recipe import with_length
from unitf.registry import registry

PLUGIN = '''
"""A modality of a stranger."""

import numpy as np
import torch

import unitf


class HeartBeats(unitf.Tokenizer):
    """A heart beat in an .npz: one token for ten numbers."""

    num_features = 10

    @classmethod
    def recognise(cls, column):
        if all(str(value).endswith(".npz") for value in column.values):
            return unitf.Proposal({}, 0.9, "heart beats in .npz")

    def encode(self, value, train=False):
        signal = np.load(value)["signal"].astype(np.float32)
        return unitf.Features(torch.from_numpy(signal.reshape(-1, 10).T.copy()))
'''
QUICK = ["--trainer.max_epochs=3", "--data.num_workers=0", "--trainer.accelerator=cpu"]


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch, tmp_path):
    """What a test registers is gone after it, and runs lie in its own folder."""
    installed = registry._installed()
    monkeypatch.setattr(installed, "entries", list(installed.entries))
    monkeypatch.chdir(tmp_path)
    for module in ("fit_data", "training_cli"):  # the tests may have run for longer than --time
        monkeypatch.setattr(f"unitf.cli.{module}.process_seconds", lambda: 0.0)


def beats(folder: Path, count: int = 60) -> Path:
    random = np.random.default_rng(0)
    for number in range(count):
        label = ("slow", "fast")[number % 2]
        (folder / label).mkdir(parents=True, exist_ok=True)
        time = np.arange(10 * int(random.integers(3, 8)))
        signal = np.sin(time * (0.3, 1.5)[number % 2] + random.random() * 6)
        np.savez(folder / label / f"{number}.npz", signal=signal)
    return folder


def test_a_strangers_modality_takes_part(tmp_path, capfd):
    file = tmp_path / "heart.py"
    file.write_text(PLUGIN)
    beats(tmp_path / "beats")
    words = ["--plugin", str(file), "fit", "--trainer.max_epochs", "8", "beats", *QUICK[1:]]
    assert main([*words, "--out", "run"]) == 0
    told = capfd.readouterr()
    assert "model.tokenizers.file: HeartBeats, heart beats in .npz" in told.err
    assert "label accuracy" in told.out
    text = Path("run/recipe.yaml").read_text()
    assert "# The run had these options too: --trainer.max_epochs 8 --data.num_w" in text
    recipe = yaml.safe_load(text)
    assert recipe["model"]["tokenizers"]["file"] == "HeartBeats"
    assert "TimeBudget" not in str(recipe) and recipe["trainer"]["max_epochs"] == 8
    assert main([*words[:2], "fit", "--config", "run/recipe.yaml", "--out", "again", *QUICK]) == 0


def test_in_python_a_model_comes_back(tmp_path):
    texts = [("it is bad and sad", "no"), ("how good and glad", "yes")] * 30
    rows = "\n".join(f"{text} {number},{label}" for number, (text, label) in enumerate(texts))
    (tmp_path / "moods.csv").write_text(f"text,mood\n{rows}\n")
    options = {word[2:].partition("=")[0]: word.partition("=")[2] for word in QUICK}
    model = unitf.fit("moods.csv", target="mood", time="1h", options=options)
    assert isinstance(model, unitf.Model)
    assert model.predict([{"text": "so good"}])[0]["label"] in ("yes", "no")


def test_a_recipe_is_written_and_nothing_is_trained(tmp_path, capsys):
    (tmp_path / "book.txt").write_text("a word and a word more\n" * 400)
    assert main(["recipe", "book.txt"]) == 0
    told = capsys.readouterr()
    assert yaml.safe_load(told.out)["model"]["core"]["kind"] == "decoder"
    assert "model.tasks: NextToken" in told.err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["pets"], "pets"),
        (["--time", "10m", "pets"], "pets"),
        (["--time=10m", "pets", "--target", "x"], "pets"),
        (["--config", "x.yaml"], None),
        (["--trainer.max_epochs", "3"], None),
        (["--resume", "auto"], None),
    ],
)
def test_the_path_may_stand_anywhere(words, path):
    found = _data_path(words)
    assert found == (None if path is None else [path, *(w for w in words if w != path)])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit", "nowhere"], "nowhere is not there, expected a file or a folder of data"),
        (["fit", "mine.yaml"], "mine.yaml looks like a recipe, expected --config mine.yaml"),
        (["fit", ".", "--time", "soon"], "--time: found 'soon', expected a duration such as 90s"),
        (["recipe", ".", "--test", "later.csv"], "--test later.csv is not there"),
        (["fit", "."], "no source reads it: found nothing in it"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path, capsys, words, message):
    assert main(words) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())


def test_the_length_that_came_out_replaces_the_time():
    recipe = "# a line\ntrainer:\n  max_epochs: 20\n  callbacks:\n    - {class_path: TimeBudget}\n"
    keys = {"max_epochs": -1, "max_steps": 70, "val_check_interval": 7}
    assert with_length(recipe, keys) == (
        "# a line\ntrainer:\n  max_epochs: -1\n  max_steps: 70\n  val_check_interval: 7\n"
    )
