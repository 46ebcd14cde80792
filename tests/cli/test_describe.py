"""`unitf describe` lists classes by kind, and says what one is and takes."""

import pytest
import toys
import yaml

from unitf import UserError, registry
from unitf.cli import main
from unitf.cli.argument_types import arguments_of
from unitf.cli.class_page import class_page
from unitf.cli.describe import records_of
from unitf.cli.notation import long_form
from unitf.registry import importing
from unitf.registry.kinds import KINDS


def test_the_list_has_every_class_below_its_kind_with_what_it_says_of_itself(capsys):
    assert main(["describe"]) == 0
    kinds = dict(
        part.split(":\n", 1) for part in capsys.readouterr().out.split("\n\n") if ":\n" in part
    )
    for kind in ("tokenizers", "tasks", "sources", "callbacks", "schedules"):
        lines = dict(line.split(maxsplit=1) for line in kinds[kind].splitlines())
        assert {entry.name for entry in records_of(kind)} == lines.keys()
    assert "Waves" in kinds["tokenizers"]  # of a plugin that this session registered
    assert "One token per word or run of punctuation;" in kinds["tokenizers"]
    assert "EMA" in kinds["callbacks"]
    assert "WarmupCosine" in kinds["schedules"]


def test_a_kind_alone_is_listed(capsys):
    assert main(["describe", "schedules"]) == 0
    assert capsys.readouterr().out.startswith("schedules:\n  ")


def test_a_docstring_is_read_without_importing_the_module():
    assert importing.first_paragraph("unitf_text", "Words").startswith("One token per word or run")
    assert importing.first_paragraph("unitf.tasks.classification", "Classification")
    assert importing.first_paragraph("unitf_text", "Wrods") == ""
    assert importing.first_paragraph("no_such_module", "Words") == ""


def test_a_class_is_described_by_its_arguments_and_an_example(capsys):
    assert main(["describe", "Words"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Words: a tokenizer (unitf_text.")
    assert (
        "  lowercase  (true or false; default false)\n      whether the text is lower-cased" in text
    )
    assert "dim  (" not in text  # the core gives it
    assert main(["describe", "Classification"]) == 0
    text = capsys.readouterr().out
    assert "  target  (a text; required)" in text
    assert "Classification:\n          inputs: [text, numbers]\n" in text


def test_classes_of_settings_and_of_torch_are_described(capsys):
    assert main(["describe", "Spectrogram"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Spectrogram: a class of settings (unitf_audio.")
    assert "num_mels  (a whole number" in text
    assert main(["describe", "torch.optim.SGD"]) == 0
    assert "momentum" in capsys.readouterr().out
    assert main(["describe", "EMA"]) == 0
    assert "- EMA" in capsys.readouterr().out.replace("- {EMA", "- EMA")


@pytest.mark.parametrize("kind", ["tokenizers", "tasks", "sources", "callbacks", "schedules"])
def test_every_example_is_a_piece_of_a_recipe_with_the_arguments_of_the_class(kind):
    known = [e for e in records_of(kind) if e.package == "unitf"]
    assert known
    for entry in known:
        cls = registry.find(kind, entry.path)
        example = yaml.safe_load(class_page(cls, kind).partition("\nexample:\n")[2])
        node = long_form(example)
        for key in KINDS[kind].recipe_key.split("."):
            node = next(iter(node.values())) if key == "*" else node[key]
        node = node[0] if isinstance(node, list) else node
        if isinstance(node, str):
            assert node == entry.name
        else:
            assert node["class_path"] == entry.name
            assert node["init_args"].keys() <= arguments_of(cls).keys()


def test_a_misspelt_name_is_answered_by_similar_ones():
    from unitf.cli.describe import _class

    with pytest.raises(UserError, match="no class is called 'Wavs'; did you mean Waves"):
        _class("Wavs")
    with pytest.raises(UserError, match=r"no class is called 'os\.system'"):
        _class("os.system")
    assert _class("Waves") == (toys.Waves, "tokenizers")
