"""Mistakes in recipes and on the command line: one line with the file, the key and what was meant.

`benchmarks.recipe_mutants` tries hundreds of them.
"""

import pytest

from benchmarks.recipe_mutants import answer, chosen
from unitf import UserError
from unitf.cli.argument_types import in_words
from unitf.cli.training_cli import ready

REPLACED = [  # what stands in the recipe, what stands there instead, and what is said
    ("depth: 1", "dept: 1", "model.core.dept: there is no such key; did you mean depth"),
    ("depth: 1", "depth: many", "model.core.depth: found many, expected a whole number"),
    (
        "depth: 1",
        "depth: 1, feedforward: {MixtureOfExperts: {num_experts: many}}",
        "model.core.feedforward.MixtureOfExperts.num_experts: found many, expected a whole number",
    ),
    ("dim: 16", "dim: .nan", "model.core.dim: found NaN, expected a whole number"),
    ("dim: 16", "dim: [16]", "model.core.dim: found [16], expected a whole number"),
    ("num_heads: 2", "num_heads: 3", "model.core.dim: TransformerConfig: dim 16 cannot"),
    ("{waves: Waves", "{waves: {class_pth: Waves}", "waves.class_pth: there is no such key; did"),
    ("waves: Waves", "waves: 3", "model.tokenizers.waves: found 3, expected a class of kind Tok"),
    (
        "inputs: [waves, beats]",
        "inputs: 3",
        "model.tasks.speed.init_args.inputs: found 3, expected",
    ),
    (
        "target: speed",
        "targt: speed",
        "speed.init_args.targt: there is no such key; did you mean",
    ),
    ("num_workers: 0", "num_workers: -1", "data.num_workers: expected 0 or more processes, found"),
    ("num_workers: 0", "depth: 3", "data.depth: there is no such key; did you mean model.core.dep"),
    ("max_epochs: 2", "max_epochs: 0", "trainer.max_epochs: found 0, expected more than 0"),
    ("max_epochs: 2", "max_steps: 0", "trainer.max_steps: found 0, expected more than 0"),
    ("max_epochs: 2", "limit_train_batches: 0", "trainer.limit_train_batches: found 0, expected"),
    ("accelerator: cpu", "accelerator: cpuu", "trainer.accelerator: found 'cpuu', expected one of"),
    ("accelerator: cpu", "strategy: ddpp", "trainer.strategy: found 'ddpp', expected one of"),
    ("accelerator: cpu", "devices: [x]", "trainer.devices"),
    ("model:", "modle:", "modle: there is no such key; did you mean model"),
    ("tokenizers:", "toknizers:", "model.toknizers: there is no such key; did you mean tokenizers"),
]
OPTIMIZER = "model.optimizer={class_path: torch.optim.AdamW, init_args: {%s}}"
OPTIONS = [
    ("--model.core.deph", "2", "--model.core.deph: there is no such key; did you mean depth"),
    ("--model.core.depth", "many", "--model.core.depth: found many, expected a whole number"),
    ("--traner.max_epochs", "3", "--traner.max_epochs: there is no such option; did you mean"),
    ("--ot", "x", "--ot: there is no such option; did you mean --out"),
    (f"--{OPTIMIZER % 'lr: -0.001'}", "", "init_args.lr: Invalid learning rate: -0.001"),
    (f"--{OPTIMIZER % 'betas: [0.9, 1.0]'}", "", "init_args.betas: Invalid beta parameter"),
    (f"--{OPTIMIZER % 'lr: null'}", "", "init_args.lr: found nothing, expected a number"),
    ("--trainer.logger", "WandbLogger", "trainer.logger"),
]


def said(recipe, *words):
    with pytest.raises(UserError) as raised:
        ready("fit", ["--config", str(recipe), "--out", str(recipe.parent / "run"), *words])
    assert "\n" not in str(raised.value)
    assert not (recipe.parent / "run").exists()
    return str(raised.value)


@pytest.mark.parametrize(("old", "new", "expected"), REPLACED, ids=[row[1] for row in REPLACED])
def test_a_mistake_in_a_recipe_names_the_file_the_key_and_what_was_meant(
    recipe, old, new, expected
):
    assert old in recipe.read_text()
    recipe.write_text(recipe.read_text().replace(old, new, 1))
    line = said(recipe)
    assert line.startswith(f"{recipe}: ")
    assert expected in line


@pytest.mark.parametrize(("option", "value", "expected"), OPTIONS)
def test_a_mistake_on_the_command_line_names_the_option(recipe, option, value, expected):
    line = said(recipe, *([option, value] if value else [option]))
    assert line.startswith("--")
    assert expected in line


def test_the_file_with_the_mistake_is_named_of_several(recipe, tmp_path):
    (tmp_path / "more.yaml").write_text("model:\n  core: {dept: 2}\n")
    assert said(recipe, "--config", str(tmp_path / "more.yaml")).startswith(
        f"{tmp_path / 'more.yaml'}: model.core.dept"
    )


def test_a_right_recipe_is_not_stopped(recipe):
    ready("fit", ["--config", str(recipe), "--out", str(recipe.parent / "run")])


@pytest.mark.slow
def test_mutants_of_a_recipe_are_answered_in_one_line(recipe, tmp_path):
    import yaml

    mutants = chosen(yaml.safe_load(recipe.read_text()), 40, seed=1)
    answers = [answer(mutant, tmp_path / "mutant.yaml") for mutant in mutants]
    outcomes = [each.outcome for each in answers if each.outcome != "accepted"]
    assert outcomes.count("right") >= 0.9 * len(outcomes)
    assert "traceback" not in outcomes


def test_mutants_differ_from_the_recipe_and_come_in_all_kinds(recipe):
    import yaml

    plain = yaml.safe_load(recipe.read_text())
    kinds = {mutant.kind for mutant in chosen(plain, 200, seed=0)}
    assert {"misspelt key", "misspelt class", "key given twice", "no number"} <= kinds


def test_annotations_are_said_in_words():
    assert in_words(int | None) == "a whole number or nothing"
    assert in_words(dict[str, int]) == "a dictionary of whole numbers"
    assert in_words(list[str]) == "a list of texts"
