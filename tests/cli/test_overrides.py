"""Overrides on the command line reach into dictionaries of a recipe, and change nothing else."""

import re
from pathlib import Path

import jsonargparse
import pytest
import yaml

from unitf import TransformerConfig
from unitf.cli.core_size import with_sizes
from unitf.cli.expected_values import read_by_expectation
from unitf.cli.overrides import spell_out
from unitf.cli.recipe import StrictLoader, read_recipe
from unitf.errors import UserError

ROOT = Path(__file__).parents[2]
RECIPE = """
model:
  core: {dim: 8}
  tokenizers:
    image:
      class_path: ImagePatches
      init_args: {patch: 4, augment: {flip: true, erase: true, crop: 4}}
    sound:
      class_path: SpectrogramFrames
      init_args: {spectrogram: {class_path: Spectrogram, init_args: {num_mels: 64}}}
"""
read_by_expectation(StrictLoader)
AUGMENT = "--model.tokenizers.image.init_args.augment"


@pytest.fixture
def given(tmp_path):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return ["--config", str(tmp_path / "recipe.yaml")]


def test_a_setting_within_a_dictionary_is_changed_and_the_others_stay(given):
    words = [f"{AUGMENT}.erase.probability", "0.5", f"{AUGMENT}.flip=false", "--out", "x"]
    *begin, once, twice, out, folder = spell_out([*given, *words])
    assert (begin, out, folder) == (given, "--out", "x")
    name, _, whole = twice.partition("=")
    assert once.partition("=")[0] == name == AUGMENT
    assert yaml.safe_load(whole) == {"flip": False, "erase": {"probability": 0.5}, "crop": 4}


def test_a_dictionary_of_a_later_file_or_word_is_the_one_that_counts(given, tmp_path):
    later = tmp_path / "later.yaml"
    later.write_text(
        "model: {tokenizers: {image: {class_path: ImagePatches, init_args: {augment: {crop: 2}}}}}"
    )
    words = spell_out([*given, "--config", str(later), f"{AUGMENT}.flip", "true"])
    assert whole_of(words) == {"crop": 2, "flip": True}
    words = spell_out([*given, f"{AUGMENT}={{jitter: true}}", f"{AUGMENT}.flip", "true"])
    assert whole_of(words) == {"jitter": True, "flip": True}
    image, other = AUGMENT.removesuffix(".init_args.augment"), "{class_path: Other}"
    class_path = "{class_path: unitf_image.ImagePatches, init_args: {augment: {crop: 1}}}"
    words = spell_out([*given, f"{image}={class_path}", f"{AUGMENT}.flip", "true"])
    assert whole_of(words) == {"crop": 1, "flip": True}
    words = spell_out([*given, f"{image}.init_args", "{augment: {crop: 3}}", f"{AUGMENT}.flip=no"])
    assert whole_of(words) == {"crop": 3, "flip": "no"}  # a boolean, for its reader
    for another in ([f"{image}={other}"], [image, "Other"], [f"{image}.class_path=Other"]):
        assert whole_of(spell_out([*given, *another, f"{AUGMENT}.flip=true"])) == {"flip": True}
    words = spell_out([*given, f"{AUGMENT}=null", f"{AUGMENT}.flip=true"])
    assert whole_of(words) == {"flip": True}


def whole_of(words):
    return yaml.load(words[-1].partition("=")[2], Loader=StrictLoader)


@pytest.mark.parametrize(
    "words",
    [
        ["--model.core.dim", "16"],
        ["--model.tokenizers.image.init_args.patch", "8"],
        ["--model.tokenizers.sound.init_args.spectrogram.init_args.num_mels", "32"],
        ["--model.tokenizers.sound.init_args.spectrogram.num_mels", "32"],
        ["--model.tokenizers.image.init_args.augment.flip"],
        ["--model.tokenizers.image.init_args.augment.flip", "--out", "x"],
        ["--model.tokenizers.video.init_args.augment.flip", "true"],
    ],
)
def test_what_the_parser_understands_itself_is_left_to_it(given, words):
    assert spell_out([*given, *words]) == [*given, *words]


def test_what_has_no_settings_and_what_is_no_yaml_is_said(given):
    with pytest.raises(UserError, match="crop is 4, which has no settings of its own"):
        spell_out([*given, f"{AUGMENT}.crop.padding", "2"])
    with pytest.raises(UserError, match=r"flip: '\[1' is not YAML"):
        spell_out([*given, f"{AUGMENT}.flip", "[1"])
    with pytest.raises(UserError, match=r"augment: '\[1' is not YAML"):
        spell_out([*given, f"{AUGMENT}=[1", f"{AUGMENT}.flip=true"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "data:\n  root: {{ folder }}\n",
            "line 2: found the key {'folder': None}, expected a word",
        ),
        ("? [a, b]\n: 1\n", r"line 1: found the key ['a', 'b'], expected a word"),
        ("a: !!int x\n", "line 1: 'x' is no int"),
        ("a: !!bool x\n", "line 1: 'x' is no bool"),
        ("a: " + "[" * 3000 + "]" * 3000, "r.yaml: brackets or blocks lie too deep"),
    ],
)
def test_a_recipe_that_yaml_can_not_make_is_one_line(tmp_path, text, message):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read_recipe(tmp_path / "r.yaml")
    assert "\n" not in str(caught.value)


def test_values_stay_what_they_are(given):
    settings = "{day: 2024-01-01, 2: a, most: .inf}"
    words = spell_out([*given, f"{AUGMENT}={settings}", f"{AUGMENT}.flip=1e-1"])
    assert whole_of(words) == {"day": "2024-01-01", "2": "a", "most": float("inf"), "flip": 0.1}


def test_the_command_line_takes_it(capsys):
    from unitf.cli import main

    words = ["--config", str(ROOT / "configs" / "fashion_mnist.yaml"), "--print_config"]
    with pytest.raises(SystemExit) as ended:
        main(["fit", *words, f"{AUGMENT}.erase.probability", "0.125"])
    assert ended.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    augment = printed["model"]["tokenizers"]["image"]["ImagePatches"]["augment"]
    assert augment == {"flip": True, "erase": {"probability": 0.125}}


@pytest.mark.parametrize(
    ("words", "core", "told"),
    [
        (["--model.core.size", "base"], (768, 12, 12), "--model.core.size: the size base replaces"),
        (["--model.core", "{size: base}"], (768, 12, 12), "--model.core: the size base replaces"),
        (["--model.core.size", "base", "--model.core.dim", "64"], (64, 12, 1), "replaces dim 8"),
        (["--model.core.dim", "64", "--model.core.depth", "3"], (64, 3, 1), ""),
        (["--config", "sized.yaml"], (384, 5, 6), "sized.yaml: the size small replaces dim 8"),
        (["--config", "sized.yaml", "--model.core.dim", "64"], (64, 5, 1), "small replaces dim 8"),
    ],
)
def test_what_stands_later_counts_of_a_size_and_of_numbers(
    given, words, core, told, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("sized.yaml").write_text("model: {core: {size: small, depth: 5}}")
    Path("recipe.yaml").write_text(RECIPE.replace("{dim: 8}", "{dim: 8, hidden_dim: 32}"))
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(TransformerConfig, "model.core")
    parser.add_argument("--model.tokenizers")
    parser.add_argument("--config", action="config")
    made = parser.parse_args(with_sizes([*given, *words])).model.core
    config = TransformerConfig(**vars(made))
    assert (config.dim, config.depth, config.num_heads) == core
    err = capsys.readouterr().err
    assert told in err and bool(told) == bool(err)
    assert not told or "hidden_dim 32 as given" in err
