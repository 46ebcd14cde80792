"""`unitf inspect`: figures and a picture of the batches that a recipe would train on."""

import json

import pytest
from PIL import Image
from toys import make_data, make_learner

from unitf.analysis.inspecting import observe
from unitf.cli import main

BATCH_SIZE = 8


def figures(capsys, *argv) -> dict:
    assert main(["inspect", *map(str, argv), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_batches_are_those_of_training_and_the_first_is_drawn(recipe, tmp_path, capsys):
    out = tmp_path / "new" / "batch.png"
    found = figures(capsys, "--config", recipe, "--out", out, "--batches", 3)
    learner, data = make_learner(dim=16, depth=1), make_data()
    learner.fit_components(data)
    learner.build_components()
    data.connect(learner.tokenizers, learner.tasks)
    batches = [batch for batch, _ in zip(data.train_dataloader(), range(3), strict=False)]
    assert found["samples"] == 24 == found["tasks"]["speed"]["samples"]
    assert found["tokens"] == sum(batch.num_tokens for batch in batches)
    padded = sum(m.num_padded for batch in batches for m in observe(learner, batch))
    assert found["padded_tokens"] == padded
    with Image.open(out) as picture:
        assert picture.format == "PNG" and picture.width > 1000


def test_an_override_of_the_recipe_is_what_is_shown(recipe, tmp_path, capsys):
    override = ["--model.core.kind", "decoder", "--model.core.window", "2", "--data.batch_size=4"]
    out = tmp_path / "batch.png"
    found = figures(capsys, "--config", recipe, "--out", out, *override)
    assert found["samples"] == 4
    [attention] = found["matrices"][0]["attention"]
    assert attention["sees"] == "itself and those before, a window of 2"


def test_tables_say_what_json_says(recipe, tmp_path, capsys):
    argv = ["inspect", "--config", str(recipe), "--out", str(tmp_path / "batch.png")]
    found = figures(capsys, *argv[1:])
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert f"{found['tokens']:,} tokens" in shown
    assert f"avoided: {100 * found['padding_avoided']:.1f} %" in shown
    assert found["matrices"][0]["attention"][0]["kernel"] in shown
    assert str(tmp_path / "batch.png") in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "inspect: expected --config with a recipe"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--config", "{recipe}", "--batches", "0"], "--batches 0: expected 1 or more"),
        (["--config", "{recipe}", "--out", "{folder}/a.txt"], "expected the name of a picture"),
        (["--config", "{recipe}", "--out", "{recipe}/a.png"], "nothing can be written there"),
        (["--config", "{recipe}", "--model.core.dimm", "3"], "dimm"),
        (["--config", "{recipe}", "--data.sources.toy.init_args.size", "0"], "no training samples"),
        (["--config", "{recipe}", "--trainer.limit_train_batches", "0"], "trains for no step"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(recipe, tmp_path, capsys, words, message):
    argv = [word.format(recipe=recipe, folder=tmp_path) for word in words]
    if "--out" not in argv:
        argv += ["--out", str(tmp_path / "none.png")]
    assert main(["inspect", *argv]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not (tmp_path / "none.png").exists()
