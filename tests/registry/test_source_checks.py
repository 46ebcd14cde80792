"""check_source passes what keeps to the contract, and names the check that the rest fails."""

import json

import pytest
import source_subjects
from source_subjects import Good, Stream

from unitf import registry, testing
from unitf.cli import main


@pytest.fixture
def root(tmp_path):
    Good.examples(tmp_path)
    return tmp_path


@pytest.fixture
def checks(monkeypatch):
    """Without the check that starts a process, which has its own test."""
    kept = {name: check for name, check in testing.SOURCE_CHECKS.items() if "spawned" not in name}
    monkeypatch.setattr(testing, "SOURCE_CHECKS", kept)
    return kept


@pytest.mark.slow
@pytest.mark.parametrize("cls", [Good, Stream])
def test_a_good_source_passes_every_check_in_a_spawned_worker_too(cls, root):
    outcomes = list(testing.run_source_checks(cls, root))
    assert [o.check for o in outcomes] == ["made", *testing.SOURCE_CHECKS]
    skipped = {"shards of a stream"} if cls is Good else set()
    assert {o.check for o in outcomes if o.status == "skipped"} == skipped
    assert not [o for o in outcomes if o.status == "failed"]


@pytest.mark.parametrize(
    ("name", "check", "message"),
    [
        ("Twice", "made", "splits(): found ['train', 'train'], expected each name once"),
        ("Generator", "splits", "found generator, expected a sequence of samples"),
        ("Dataset", "splits", "found _Dataset, expected a sequence of samples"),
        ("Endless", "splits", "read('no_such_split'): found 5 samples, expected an empty"),
        ("Nothing", "splits", "found no samples in any split, expected some"),
        ("IgnoresSplit", "splits", "read('validation'): found the samples of train, expected oth"),
        ("Tuples", "columns of samples", "train[0]: found tuple, expected a dictionary"),
        ("Numbered", "columns of samples", "found the column [0], expected names of columns"),
        ("Ring", "index and length", "train[5]: found a sample, expected an IndexError"),
        ("KeyErrors", "index and length", "train[5]: found KeyError: 5, expected an IndexError"),
        ("Restless", "the same sample every time", "train[0] read twice['noise']: found"),
        ("Shuffled", "the same sample every time", "read again['text']: found"),
        ("Doubled", "shards of a stream", "2 shards: found 14 samples, expected 7"),
        ("Overlapping", "shards of a stream", "2 shards: found other samples, expected those"),
        ("Reordered", "the same sample every time", "train[0] of a source made anew['number']"),
        ("Raises", "a missing folder", "found FileNotFoundError"),
        ("Hides", "a missing folder", "found 0 samples of train, expected a unitf.UserError"),
        ("TwoLines", "a missing folder", "expected one line"),
        ("Forgetful", "rebuilt from its configuration", "train[0] of the remade one['text']"),
        ("Unpicklable", "the same sample every time", "lambda"),
        pytest.param(
            "Local", "pickles to a spawned worker", "train[0] in a spawned worker['home']",
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_what_breaks_the_contract_fails_the_check_that_names_it(
    name, check, message, root, monkeypatch
):
    order = ["made", *testing.SOURCE_CHECKS]
    wanted = order[1 : order.index(check) + 1]
    only = {known: testing.SOURCE_CHECKS[known] for known in wanted}
    monkeypatch.setattr(testing, "SOURCE_CHECKS", only)
    cls = getattr(source_subjects, name)
    make = cls if issubclass(cls, Stream) else lambda: cls(upper=True)
    with pytest.raises(testing.CheckError) as caught:
        testing.check_source(make, root)
    text = str(caught.value)
    assert text.startswith(f"{check}: ") and message in text and "\n" not in text


def test_columns_that_are_expected_are_looked_for(root, checks):
    testing.check_source(Good, root, ["text", "size"])
    with pytest.raises(testing.CheckError, match="found text, size, codes, expected also label"):
        testing.check_source(Good, root, ["text", "label"])


def test_what_makes_no_source_is_refused(root):
    with pytest.raises(testing.CheckError, match=r"found dict, expected a unitf\.Source"):
        testing.check_source(dict, root)


def test_the_command_checks_a_source_by_its_examples(checks, capsys):
    registry.register(Good)
    assert main(["plugins", "check", "Good"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in checks if f"✓ {name}" not in shown] == ["shards of a stream"]
    registry.register(source_subjects.Hides)
    assert main(["plugins", "check", "Hides", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [r["check"] for r in rows if r["status"] == "failed"] == ["a missing folder"]


def test_a_source_that_needs_no_arguments_needs_no_examples(checks, capsys):
    registry.register(Stream)
    assert main(["plugins", "check", "Stream"]) == 0
    assert "✓ shards of a stream: 7 samples" in capsys.readouterr().out
