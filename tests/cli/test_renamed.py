"""An old word in a recipe or on a command line is one line that says the new one."""

import pytest

import unitf
from unitf.cli import main
from unitf.public import absent
from unitf.training import DataModule
from unitf.training.learner import Learner

CORE = "model.core.positions is now model.core.relative_positions"
HIDDEN = "model.core.hidden_dropout is now model.core.activation_dropout"
WAVES = "model.tokenizers.waves.init_args"
SCHEME = f"{WAVES}.positions is now {WAVES}.position_embedding"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("dim: 16,", "dim: 16, positions: rotary,", CORE),
        (
            "dim: 16,",
            "dim: 16, norm_position: both,",
            "norm_position: both is now sandwich",
        ),
        (
            "dim: 16,",
            "dim: 16, positions: rotary, hidden_dropout: 0.0,",
            f"{CORE}; {HIDDEN}",
        ),
        (
            "{waves: Waves,",
            "{waves: {class_path: Waves, init_args: {positions: none}},",
            SCHEME,
        ),
    ],
)
def test_an_old_word_of_a_recipe_is_one_line(recipe, capsys, old, new, line):
    text = recipe.read_text()
    assert old in text
    recipe.write_text(text.replace(old, new))
    assert main(["fit", "--config", str(recipe)]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.endswith(line) and str(recipe) in said


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--model.core.positions", "rotary"], f"--{CORE}"),
        (["--model.core.positions=rotary"], f"--{CORE}"),
        (["--model.core", "{dim: 16, positions: rotary}"], f"--{CORE}"),
        (["--model.core.norm_position", "branch"], "norm_position: branch is now res_post"),
        (["--model.tokenizers.waves.init_args.positions", "none"], SCHEME),
    ],
)
def test_an_old_word_of_a_command_line_is_one_line(recipe, capsys, words, line):
    assert main(["fit", "--config", str(recipe), *words]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said


def test_a_class_that_has_another_name_or_lies_elsewhere_is_one_line(recipe, capsys, monkeypatch):
    from unitf.checkpoints import moved

    monkeypatch.setattr(moved, "CLASSES", {"Sorting": "Classification"})
    text = recipe.read_text()
    recipe.write_text(text.replace("Classification", "Sorting"))
    assert main(["fit", "--config", str(recipe)]) == 2
    assert "model.tasks.speed: Sorting is now Classification" in capsys.readouterr().err
    recipe.write_text(
        text.replace(
            "max_epochs: 2", "callbacks: [{class_path: unitf.training.callbacks.old_place.EMA}]"
        )
    )
    assert main(["fit", "--config", str(recipe)]) == 2
    said = capsys.readouterr().err
    assert "unitf.training.callbacks.old_place.EMA is now unitf.training.EMA" in said


def test_a_public_name_that_was_renamed_says_the_new_one():
    names = {"unitf": {"Look": "AttentionMap", "Trial": "unitf.interop.DummyInputs"}}
    assert str(absent("unitf", "Look", names)) == "unitf.Look is now unitf.AttentionMap"
    assert str(absent("unitf", "Trial", names)) == "unitf.Trial is now unitf.interop.DummyInputs"
    with pytest.raises(AttributeError, match="module 'unitf' has no attribute 'Nothing'"):
        _ = unitf.Nothing  # type: ignore[attr-defined]


def test_words_of_today_pass(recipe):
    from lightning.pytorch import Trainer

    from unitf.cli.renamed import refuse_old_words

    owners = {"model": Learner, "data": DataModule, "trainer": Trainer}
    words = ["--model.core.relative_positions", "rotary", "--trainer.max_epochs", "1"]
    refuse_old_words(["--config", str(recipe), *words], owners)
