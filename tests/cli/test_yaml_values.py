"""YAML values mean what their reader expects: text where text is wanted."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from jsonargparse import ArgumentParser

from unitf import UserError
from unitf.cli.argument_types import fits
from unitf.cli.expected_values import read_by_expectation
from unitf.cli.overrides import spell_out
from unitf.cli.recipe import StrictLoader, read_recipe
from unitf.cli.yaml_values import PlainDumper
from unitf.data.split import Part
from unitf.tasks.common.label_names import Label


@dataclass
class Settings:
    text: str = ""
    maybe: str | None = None
    texts: list[str] = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)
    labels: list[Label] = field(default_factory=list)
    flag: bool = False
    whole: int = 0
    number: float = 0.0
    either: int | str = 0
    switch: bool | int | str = 0
    parts: dict[str, Part] = field(default_factory=dict)
    free: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def parser():
    read_by_expectation(StrictLoader)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(Settings, "s")
    return parser


@pytest.fixture
def parse(parser, tmp_path):
    def parse(text, *words):
        (tmp_path / "r.yaml").write_text("s: {" + text + "}", encoding="utf-8")
        return parser.parse_args(["--config", str(tmp_path / "r.yaml"), *words]).s

    return parse


WORDS = [
    "yes", "no", "on", "off", "y", "N", "true", "1:30", "0010", "0_0_1", "1e-3", "1.10", "+5",
    "2024", "0.5", "0x1F", "010.5", "2020-01-01", ".5", "-0", "1_000", "0o17", ".inf", "=",
]  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_text_stays_as_it_is_written_where_text_is_wanted(parse, word):
    s = parse(f"text: {word}, maybe: {word}, texts: [{word}, b], named: {{{word}: {word}}}")
    assert (s.text, s.maybe, s.texts, s.named) == (word, word, [word, "b"], {word: word})
    assert parse(f'text: "{word}"').text == word


@pytest.mark.parametrize("word", WORDS)
def test_text_stays_as_it_is_written_on_the_command_line(parse, word):
    s = parse("", f"--s.text={word}", f"--s.texts=[{word}, b]", f"--s.named={{{word}: {word}}}")
    assert (s.text, s.texts, s.named) == (word, [word, "b"], {word: word})


def test_booleans_and_numbers_are_read_where_they_are_wanted(parse):
    for word in ("yes", "on", "true", "True", '"true"'):
        assert parse(f"flag: {word}").flag is True
    assert parse("flag: off").flag is False
    for word, whole in (("0010", 10), ("1_000", 1000), ("+5", 5), ('"7"', 7), ("0x1F", 31)):
        assert parse(f"whole: {word}").whole == whole
    for word, number in (("1e-3", 0.001), ("1", 1.0), ("1.10", 1.1), ("1E5", 1e5), (".5", 0.5)):
        value = parse(f"number: {word}").number
        assert value == number and type(value) is float
    assert parse("either: 3").either == 3
    assert parse("either: 0010").either == "0010"
    assert parse("switch: no").switch is False
    assert parse("switch: nobody").switch == "nobody"
    free = parse("free: {a: 1e-3, b: [+5, 2.50], c: {d: true}, e: no}").free
    assert free == {"a": 0.001, "b": [5, 2.5], "c": {"d": True}, "e": "no"}
    assert [type(v) for v in (free["a"], *free["b"])] == [float, int, float]


def test_classes_and_parts_of_a_split_keep_their_zeros(parse):
    assert parse('labels: [yes, no, "1", 007]').labels == ["yes", "no", "1", "007"]
    assert parse("labels: [1, 2]").labels == [1, 2]
    parts = "parts: {validation: 0.25, test: '0010', test_a: 0_0_1, test_b: [007, 120], test_c: no}"
    expected = {
        "validation": 0.25,
        "test": "0010",
        "test_a": "0_0_1",
        "test_b": ["007", 120],
        "test_c": "no",
    }
    assert parse(parts).parts == expected


def test_a_setting_from_the_command_line_is_text_within_a_dictionary(tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("data: {sources: {s: {class_path: Table, init_args: {path: t.csv}}}}")
    key = "--data.sources.s.init_args.split.parts.test"
    for word in ("no", "0010", "1:30", "1e-3"):
        *_, option = spell_out(["--config", str(recipe), key, word])
        read = yaml.load(option.partition("=")[2], Loader=StrictLoader)
        value = read["parts"]["test"]
        assert getattr(value, "written", value) == word


def test_merge_keys_and_keys_that_stand_twice(tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("a: &a {x: 1, y: no}\nb: {<<: *a, y: on}\nc: {<<: [*a, {z: 3}]}\n")
    assert read_recipe(recipe) == {
        "a": {"x": 1, "y": "no"},
        "b": {"x": 1, "y": "on"},
        "c": {"x": 1, "y": "no", "z": 3},
    }
    recipe.write_text("no: 1\n'no': 2\n")
    with pytest.raises(UserError, match="the key 'no' stands here twice"):
        read_recipe(recipe)


@pytest.mark.parametrize("word", WORDS)
def test_what_is_written_is_read_again(word):
    value = yaml.load(f"[{word}]", Loader=StrictLoader)
    text = yaml.dump(value, Dumper=PlainDumper)
    again = yaml.load(text, Loader=StrictLoader)
    assert again == value
    assert getattr(again[0], "written", None) == getattr(value[0], "written", None)


def test_the_check_of_a_recipe_knows_what_the_parser_reads():
    for word in ("yes", "Off", "true", True):
        assert fits(bool, word)
    for option, word in ((bool, "maybe"), (int, "1:30"), (float, True), (int, "yes")):
        assert not fits(option, word)
    for option, word in ((str, 2024), (str, True), (int, "0010"), (int, "1_000"), (float, "1e-3")):
        assert fits(option, word)


def test_what_the_parser_writes_of_empty_settings_is_read_again():
    """A class whose only arguments are None is in a run's config.yaml, which a resume reads."""
    read_by_expectation(StrictLoader)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--either", type=dict[str, int | None] | str)
    assert parser.parse_args(["--either", "limit: null\n"]).either == {"limit": None}
    for text in ("limit:", "{nullish}", "{a, null}"):
        assert parser.parse_args(["--either", text]).either == text
