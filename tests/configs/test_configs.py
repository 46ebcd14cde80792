"""Every recipe goes through the real command line, for two steps."""

import warnings
from pathlib import Path

import pytest
import transformers
from folders import ROOT, SHARED
from interop.published_texts import wordpiece

from unitf.cli import main
from unitf.cli.training_cli import ready

RECIPES = sorted((ROOT / "configs").glob("*.yaml"))
OVERLAYS = {
    "fsdd_new_speaker": "fsdd",
    "random_core": "fsdd_from_text",
    "vqa_generation": "vqa",
    "vqa_image": "vqa",
    "vqa_question": "vqa",
    "scratch": "trec_few",
    "translate_en_fr_consistency": "translate_en_fr",
}  # these change another recipe
PRETRAINED = {  # these begin from published weights: here, from small ones
    "trec_minilm": "pretrained",
    "squad": "pretrained",
    "sst2_minilm": "pretrained",
    "fashion_from_text": "core_from",
    "fsdd_from_text": "core_from",
}
PRETRAINING = {  # these begin from what another recipe learned
    "fashion_few": "mae_fashion",
    "fsdd_few": "mae_speech",
    "trec_few": "mlm_text",
    "translate_en_fr_consistency": "translate_en_fr",
}

FEWER_SAMPLES = {  # of these, whose components are fitted on many
    "etth1": ["--data.sources.ett.stride", "50"],
}
OTHER_INPUTS = ("vqa_image", "vqa_question")  # the recipe below them is trained


def arguments(recipe: Path) -> list[str]:
    names = [*([OVERLAYS[recipe.stem]] if recipe.stem in OVERLAYS else []), recipe.stem]
    return [part for n in names for part in ("--config", str(recipe.parent / f"{n}.yaml"))]


def small_bert(folder: Path) -> Path:
    tokenizer = wordpiece()
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.BertConfig(vocab_size=len(tokenizer), intermediate_size=32, **sizes)
    transformers.BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def short(recipe: Path, out: Path) -> list[str]:
    """The arguments of a run of two steps."""
    argv = [
        "fit", *arguments(recipe), "--out", str(out),
        "--test_after_fit", "false", "--report", "false",
        "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2",
        "--trainer.limit_val_batches", "1", "--trainer.check_val_every_n_epoch", "1",
        "--data.num_workers", "0", "--data.batch_size", "8", "--trainer.accelerator", "cpu",
    ]  # fmt: skip
    return argv if recipe.stem == "quickstart" else [*argv, "--data-root", str(SHARED / "data")]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_the_recipe_trains(recipe, tmp_path, capsys):
    if recipe.stem != "quickstart" and not SHARED.is_dir():
        pytest.skip("shared data not available")
    argv = short(recipe, tmp_path / "run") + FEWER_SAMPLES.get(recipe.stem, [])
    if recipe.stem in PRETRAINED:
        source = f"hf:{small_bert(tmp_path / 'published')}"
        argv += [f"--model.{PRETRAINED[recipe.stem]}", source]
    if recipe.stem in OTHER_INPUTS:
        ready("fit", argv[1:])
        return
    with warnings.catch_warnings():
        if recipe.stem in PRETRAINING:
            before = recipe.parent / f"{PRETRAINING[recipe.stem]}.yaml"
            assert main(short(before, tmp_path / "before")) == 0, capsys.readouterr().err
            argv += ["--model.pretrained", str(tmp_path / "before")]
        assert main(argv) == 0, capsys.readouterr().err
    assert (tmp_path / "run" / "metrics.json").is_file()
    assert (tmp_path / "run" / "checkpoints" / "best.ckpt").is_file()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_the_header_says_how_to_run_it(recipe):
    header = [line for line in recipe.read_text().splitlines() if line.startswith("#")]
    assert len(header) >= 2
    if recipe.stem not in OVERLAYS:
        assert any(f"unitf fit --config configs/{recipe.name}" in line for line in header)
