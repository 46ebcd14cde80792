"""The short notation of recipes says the same as the long one, wherever a class may stand."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import toys  # noqa: F401 (registers its classes)
import yaml
from jsonargparse import Namespace

from unitf import Tokenizer, UserError
from unitf.cli import main
from unitf.cli.argument_types import classes_in
from unitf.cli.expected_values import read_by_expectation
from unitf.cli.long_words import long_words
from unitf.cli.merging import explicit_keys, node_at
from unitf.cli.notation import as_object, as_written, long_form, short_form, short_name
from unitf.cli.recipe import StrictLoader, load_recipe, read_recipe
from unitf.cli.recipe_inputs import given_inputs
from unitf.cli.training_cli import ready

ROOT = Path(__file__).parents[2]
LONG = """
model:
  core: {dim: 16, norm: {class_path: rms, init_args: {eps: 0.1}}}
  tokenizers:
    waves: {class_path: Words, init_args: {lowercase: true}}
    image: {class_path: ImagePatches, init_args: {patch: 4, augment: {flip: true}}}
    sound:
      class_path: SpectrogramFrames
      init_args: {spectrogram: {class_path: Spectrogram, init_args: {num_mels: 64}}}
  tasks:
    speed: {class_path: Classification, init_args: {inputs: [waves], target: speed}}
  optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.001}}
data:
  sources:
    drawn: {class_path: ScannedDigits, init_args: {column: image}}
trainer:
  callbacks:
    - {class_path: EMA, init_args: {decay: 0.9}}
    - {class_path: lightning.pytorch.callbacks.EarlyStopping, init_args: {monitor: loss}}
"""
SHORT = """
model:
  core: {dim: 16, norm: {rms: {eps: 0.1}}}
  tokenizers:
    waves: {Words: {lowercase: true}}
    image: {ImagePatches: {patch: 4, augment: {flip: true}}}
    sound: {SpectrogramFrames: {spectrogram: {Spectrogram: {num_mels: 64}}}}
  tasks:
    speed: {Classification: {inputs: [waves], target: speed}}
  optimizer: {torch.optim.AdamW: {lr: 0.001}}
data:
  sources:
    drawn: {ScannedDigits: {column: image}}
trainer:
  callbacks:
    - {EMA: {decay: 0.9}}
    - {lightning.pytorch.callbacks.EarlyStopping: {monitor: loss}}
"""
read_by_expectation(StrictLoader)


@dataclass
class Glow:
    """Settings of a test."""

    Bright: int = 1
    warm: bool = False


def test_both_notations_are_the_same_recipe():
    long, short = yaml.safe_load(LONG), yaml.safe_load(SHORT)
    assert long_form(short) == long
    assert long_form(long) == long
    assert short_form(long) == short


@pytest.mark.parametrize("name", ["quickstart", "joint", "shakespeare_experts", "vqa_image"])
def test_a_recipe_of_the_repository_is_short_and_reads_back_as_itself(name):
    written = load_recipe(ROOT / "configs" / f"{name}.yaml")
    recipe = read_recipe(ROOT / "configs" / f"{name}.yaml")
    assert "class_path" not in str(written)
    assert recipe != written
    assert long_form(short_form(recipe)) == recipe


def test_a_class_without_arguments_is_a_name():
    assert short_form({"model": {"tokenizers": {"a": {"class_path": "Words"}}}}) == {
        "model": {"tokenizers": {"a": "Words"}}
    }
    given = {"model": {"tokenizers": {"a": {"Words": None}}}}
    assert long_form(given) == {"model": {"tokenizers": {"a": {"class_path": "Words"}}}}


def test_what_a_key_expects_decides_what_a_dictionary_is():
    words = {"Words": {"lowercase": True}}
    spelled = {"class_path": "Words", "init_args": {"lowercase": True}}
    assert as_object(Tokenizer, words) == spelled
    assert as_object(Tokenizer | None, words) == spelled
    assert as_object(dict[str, Tokenizer], words) == words  # a name that a person chose
    assert as_object(dict[str, int], words) == words
    assert as_object(object, words) == words
    assert as_object(Tokenizer, {"Wrods": {}}) == {"class_path": "Wrods", "init_args": {}}
    assert as_object(Tokenizer, {"Wrods": {}}, only_known=True) == {"Wrods": {}}
    assert as_object(Tokenizer, {"patch": 8}) == {"patch": 8}  # over an earlier file
    assert as_object(Glow, {"Bright": 2}) == {"Bright": 2}  # an argument comes first
    assert as_object(Glow, {"Glow": {"warm": True}})["class_path"] == "Glow"


def test_what_may_be_a_class_or_a_name_is_refused():
    both = Tokenizer | dict[str, Tokenizer]
    with pytest.raises(UserError, match=r"a\.Words: found a class or a name in a dictionary, exp"):
        as_object(both, {"Words": {}}, ("a",))
    assert as_object(both, {"mine": {}}) == {"mine": {}}
    # and it is not written so
    from unitf.cli.notation import _ShortNotation

    long = {"class_path": "Words", "init_args": {"lowercase": True}}
    assert _ShortNotation()._value(both, long, ()) == long


def test_a_name_is_written_only_where_it_means_the_same_class():
    from unitf_text import Words

    assert short_name(Words, "unitf_text.Words", classes_in(Tokenizer)) == "Words"

    other = type("Words", (Words,), {})
    assert short_name(other, "mine.Words", classes_in(Tokenizer)) == "mine.Words"
    assert short_name(Glow, "mine.Glow", [Glow]) == "mine.Glow"  # of no package with plugins


def test_keys_are_named_as_the_file_has_them():
    keys = ("model", "tokenizers", "waves", "init_args", "lowercase")
    assert as_written(yaml.safe_load(SHORT), keys) == (*keys[:3], "Words", "lowercase")
    assert as_written(yaml.safe_load(LONG), keys) == keys
    callback = ("trainer", "callbacks", "0", "init_args", "decay")
    assert as_written(yaml.safe_load(SHORT), callback)[3] == "EMA"


def test_options_are_read_in_both_notations():
    words = long_words(["--model.tokenizers.a", "{Words: {lowercase: true}}", "--out", "x"])
    value = "{class_path: Words, init_args: {lowercase: true}}"
    assert words == [f"--model.tokenizers.a={value}", "--out", "x"]
    assert long_words(["--model.tokenizers.a.Words.lowercase=true"]) == [words[0]]
    same = ["--model.tokenizers.a", "Words", "--trainer.max_epochs=3", "--data.seed", "-1"]
    assert long_words(same) == same


def test_init_args_may_be_left_out_of_an_option(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(SHORT)
    given = ["--config", str(file)]
    words = long_words([*given, "--model.tokenizers.image.augment.flip", "false"])
    assert words == [*given, "--model.tokenizers.image.init_args.augment.flip", "false"]
    keys = ("model", "core", "norm", "eps")
    assert explicit_keys(keys, read_recipe(file)) == (*keys[:3], "init_args", "eps")
    keys = ("model", "tokenizers", "image", "init_args", "patch")
    assert explicit_keys(keys, read_recipe(file)) == keys


def configured(recipes, *words):
    """The configuration of a command line, as the parser resolved it."""
    from unitf.cli.preparing import prepare
    from unitf.cli.training_cli import TrainingCLI

    class ParsedError(Exception):
        pass

    class Reader(TrainingCLI):
        def before_instantiate_classes(self):
            raise ParsedError

    argv = [part for recipe in recipes for part in ("--config", str(recipe))]
    reader = Reader.__new__(Reader)
    with pytest.raises(ParsedError):
        reader.__init__("fit", prepare([*argv, *words]))
    config = reader.config.clone()
    config.pop("config")
    return config


LISTS = """
model: {core: {dim: 8}}
data: {sources: {a: {Lines: {path: {train: a}, pattern: x, split: {parts: {validation: 0.1}}}}}}
trainer: {callbacks: [EMA, unitf.training.callbacks.Checkpoint: {every_minutes: 5}]}
"""


@pytest.mark.parametrize(
    ("option", "key", "value"),
    [
        ("data.sources.a.Lines.path.test=b", "data.sources.a.init_args.path.test", "b"),
        ("data.sources.a.path.test=b", "data.sources.a.init_args.path.test", "b"),
        ("trainer.callbacks.0.EMA.decay=0.5", "trainer.callbacks.0.init_args.decay", 0.5),
        ("trainer.callbacks.EMA.decay=0.5", "trainer.callbacks.0.init_args.decay", 0.5),
        ("trainer.callbacks.EMA={decay: 0.5}", "trainer.callbacks.0.init_args.decay", 0.5),
        ("trainer.callbacks.1.every_minutes=9", "trainer.callbacks.1.init_args.every_minutes", 9),
        (
            "trainer.callbacks.Checkpoint.every_minutes=9",
            "trainer.callbacks.1.init_args.every_minutes",
            9,
        ),
        ("trainer.callbacks.Timer.verbose=no", "trainer.callbacks.2.init_args.verbose", "no"),
    ],
)
def test_an_option_changes_one_setting_and_the_others_stay(tmp_path, option, key, value):
    """`Lines.path.test` replaced the whole of `path`, and one callback replaced the others."""
    (tmp_path / "r.yaml").write_text(LISTS)
    words = ["--config", str(tmp_path / "r.yaml")]
    before = given_inputs(words, words).merged
    after = given_inputs(words, [*words, f"--{option}"]).merged
    assert node_at(after, tuple(key.split("."))) == value
    callbacks = before["trainer"]["callbacks"]
    for number in {0, 1} - {int(part) for part in key.split(".") if part.isdigit()}:
        assert after["trainer"]["callbacks"][number] == callbacks[number]
    path, parts = ("data", "sources", "a", "init_args", "path"), ("split", "parts", "validation")
    assert node_at(after, (*path, "train")) == "a"
    assert node_at(after, (*path[:-1], *parts)) == 0.1


def test_the_parser_changes_one_setting_too(tmp_path):
    (tmp_path / "r.yaml").write_text(LISTS)
    options = ["Lines.path.test=b", "Lines.split.parts.test=0.2"]
    words = [f"--data.sources.a.{option}" for option in options]
    config = configured([tmp_path / "r.yaml"], *words, "--trainer.callbacks.EMA.decay=0.5")
    arguments = config.data.sources["a"].init_args
    assert arguments.path == {"train": "a", "test": "b"}
    assert arguments.split.parts == {"validation": 0.1, "test": 0.2}
    ema, checkpoint = config.trainer.callbacks
    assert (ema.init_args.decay, checkpoint.init_args.every_minutes) == (0.5, 5)


def test_an_item_that_a_list_has_not_is_refused(tmp_path):
    (tmp_path / "r.yaml").write_text(LISTS)
    with pytest.raises(UserError, match=r"callbacks.7.decay: found 7, .* 0 \(EMA\), 1 \(Check"):
        long_words(["--config", str(tmp_path / "r.yaml"), "--trainer.callbacks.7.decay", "1"])


SMALL = """
model:
  core: {dim: 16, depth: 1, num_heads: 2}
  tokenizers: {waves: {class_path: Words, init_args: {lowercase: true}}}
  tasks:
    speed: {class_path: Classification, init_args: {inputs: [waves], target: speed}}
  optimizer: {class_path: torch.optim.SGD, init_args: {lr: 0.5}}
data: {sources: {toy: {class_path: Swings}}}
trainer: {callbacks: [{class_path: EMA, init_args: {decay: 0.5}}]}
"""
OVERLAY = "model: {tokenizers: {waves: {class_path: Words, init_args: {min_count: 3}}}}"
OVERRIDES = [
    (),
    ("--model.tokenizers.waves.min_count", "3"),
    ("--model.tokenizers.waves.init_args.min_count", "3"),
    ("--model.tokenizers.waves", "{class_path: Words, init_args: {min_count: 3}}"),
]


def in_short(text):
    return yaml.safe_dump(short_form(yaml.safe_load(text)))


@pytest.mark.parametrize("words", OVERRIDES)
def test_the_parser_resolves_both_notations_to_the_same(tmp_path, words):
    long, short, mixed = (tmp_path / f"{name}.yaml" for name in ("long", "short", "mixed"))
    long.write_text(SMALL)
    short.write_text(in_short(SMALL))
    mixed.write_text(SMALL.replace("{class_path: Swings}", "Swings"))
    assert "class_path" not in short.read_text()
    expected = configured([long], *words)
    assert isinstance(expected, Namespace)
    assert expected.model.tokenizers["waves"].init_args.lowercase is True
    assert expected.model.tokenizers["waves"].init_args.min_count == (3 if words else 1)
    assert configured([short], *words) == expected
    assert configured([mixed], *words) == expected


def test_files_of_both_notations_lie_over_one_another(tmp_path):
    files = [(SMALL, OVERLAY), (in_short(SMALL), OVERLAY), (SMALL, in_short(OVERLAY))]
    results = []
    for number, texts in enumerate(files):
        paths = [tmp_path / f"{number}{part}.yaml" for part in "ab"]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        results.append(configured(paths))
    assert results[0].model.tokenizers["waves"].init_args.min_count == 3
    assert results[0].model.tokenizers["waves"].init_args.lowercase is True
    assert results[1] == results[0]
    assert results[2] == results[0]


def test_a_file_of_one_part_may_be_short(tmp_path):
    (tmp_path / "recipe.yaml").write_text(in_short(SMALL))
    (tmp_path / "tokenizers.yaml").write_text("waves: {Words: {min_count: 7}}")
    config = configured(
        [tmp_path / "recipe.yaml"], "--model.tokenizers", str(tmp_path / "tokenizers.yaml")
    )
    assert config.model.tokenizers["waves"].init_args.min_count == 7


def test_what_is_printed_is_short_and_gives_the_same_again(tmp_path, capsys):
    (tmp_path / "long.yaml").write_text(SMALL)
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(tmp_path / "long.yaml"), "--print_config"])
    text = capsys.readouterr().out
    assert "class_path" not in text
    assert "init_args" not in text
    (tmp_path / "again.yaml").write_text(text)
    assert configured([tmp_path / "again.yaml"]) == configured([tmp_path / "long.yaml"])


MISTAKES = [
    (
        "{Words: {",
        "{Wrods: {",
        "model.tokenizers.waves: no class is called 'Wrods'; did you m",
    ),
    ("lowercase: true", "lowercse: true", "model.tokenizers.waves.Words.lowercse: there is no suc"),
    ("lowercase: true", "min_count: x", "model.tokenizers.waves.Words.min_count: found x, expecte"),
    ("EMA: {", "EMMA: {", "trainer.callbacks.0: no class is called 'EMMA'; did you mean EMA"),
    ("decay: 0.5", "decya: 0.5", "trainer.callbacks.0.EMA.decya: there is no such key; did you m"),
    ("SGD: {", "SDG: {", "model.optimizer"),
    ("{Words: {", "{lowercase: {", "model.tokenizers.waves: no class is called 'lowercase'; did"),
    ("{lowercase: true}}", "{}, lowercase: true}", "model.tokenizers.waves: found the keys Words"),
    (
        "toy: Swings",
        "toy: Swigns",
        "data.sources.toy: no class is called 'Swigns'; did you",
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES, ids=[row[1] for row in MISTAKES])
def test_a_mistake_in_a_short_recipe_names_the_file_and_the_key(tmp_path, old, new, expected):
    recipe = tmp_path / "short.yaml"
    text = yaml.safe_dump(short_form(yaml.safe_load(SMALL)), default_flow_style=True)
    assert old in text
    recipe.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError) as raised:
        ready("fit", ["--config", str(recipe), "--out", str(tmp_path / "run")])
    line = str(raised.value)
    assert line.startswith(f"{recipe}: ")
    assert expected in line
    assert "\n" not in line


def test_a_mistake_in_an_option_names_it_as_it_was_typed(tmp_path):
    (tmp_path / "r.yaml").write_text(in_short(SMALL))
    with pytest.raises(UserError) as raised:
        ready(
            "fit", ["--config", str(tmp_path / "r.yaml"), "--model.tokenizers.waves.lowercse", "x"]
        )
    line = "--model.tokenizers.waves.lowercse: there is no such key; did you mean lowercase"
    assert line in str(raised.value)
