"""check_tokenizer passes what keeps to the contract, and names the check that the rest fails."""

import json

import numpy as np
import pytest
import subjects
import torch
from broken import ELECTROCARDIOGRAM, install

from unitf import registry, testing
from unitf.cli import main
from unitf.testing import checks as checks_module

WORDS = subjects.Good.examples()
MATRICES = [torch.linspace(-1, 1, 2 * n).reshape(2, n) for n in (1, 5, 40)]


@pytest.mark.slow
def test_a_good_tokenizer_passes_every_check_in_a_spawned_worker_too():
    outcomes = list(testing.run_checks(subjects.Good, WORDS, extra=3))
    assert [o.check for o in outcomes] == ["made, fitted, built", *testing.CHECKS]
    assert {o.status for o in outcomes} == {"passed"}, outcomes


@pytest.mark.parametrize(
    ("name", "check", "message"),
    [
        ("Above", "shapes and dtypes", "found ids up to 14, expected 0 to 13"),
        ("Whole", "shapes and dtypes", "torch.int64 of shape (2, 1), expected floating-point F×N"),
        ("Rows", "shapes and dtypes", "torch.float32 of shape (1, 1), expected floating-point F×N"),
        ("Infinite", "shapes and dtypes", "found NaN or infinity, expected finite numbers"),
        ("Axes", "shapes and dtypes", "of shape (1, 1), expected floating-point P×N = (2, 1)"),
        ("Silent", "shapes and dtypes", "found no tokens of any value"),
        ("RowMajor", "columns contiguous", "found strides (46, 1), expected (1, 48)"),
        ("Dead", "gradients reach every parameter", "found no gradient for forgotten"),
        ("Mixed", "batch of one = batch of many", "values[0] alone: found differs by"),
        ("Fragile", "empty input", "AssertionError: no tokens"),
        ("Absent", "empty input", "backward from no values: found none for embedding.weight"),
        ("Short", "longest input", "found NaN or infinity"),
        ("Lossy", "way back to V×N or F×N", "loss: found (1,), expected (46,)"),
        ("Reversed", "encode → decode round trip", "encode(decode(encode(values[2])))"),
        ("Restless", "encode(train=False) deterministic", "values of values[0] encoded again"),
        ("Greedy", "encode(train=False) deterministic", "values[0] changed"),
        ("Private", "encode(train=True) follows the seeds", "with the same seeds: found"),
        ("Forgetful", "rebuilt from its configuration", "values[0] in the remade one"),
        ("Unkept", "state_dict restores a fresh one", ""),
        ("Unpicklable", "pickles to a spawned worker", "lambda"),
    ],
)
def test_what_breaks_the_contract_fails_the_check_that_names_it(name, check, message):
    cls = getattr(subjects, name)
    values = WORDS if issubclass(cls, subjects.Good) else [m.clone() for m in MATRICES]
    with pytest.raises(testing.CheckError) as caught:
        testing.check_tokenizer(cls, values)
    text = str(caught.value)
    assert text.startswith(f"{check}: ") and message in text and "\n" not in text


def test_values_are_needed():
    with pytest.raises(testing.CheckError, match="found no values"):
        testing.check_tokenizer(subjects.Good, [])


def test_checks_leave_the_random_generators_as_they_were():
    torch.manual_seed(3)
    np.random.seed(3)
    expected = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    checks_module.seeds(checks_module.Subject(lambda: subjects.Good(48), WORDS))
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == expected


# ---- unitf plugins check -----------------------------------------------------------------


@pytest.fixture
def checks(monkeypatch):
    """Without the check that starts a process, which has its own test."""
    kept = {name: check for name, check in testing.CHECKS.items() if "spawned" not in name}
    monkeypatch.setattr(testing, "CHECKS", kept)
    return kept


def test_the_command_prints_a_line_per_check(checks, capsys):
    registry.register(subjects.Good)
    assert main(["plugins", "check", "Good"]) == 0
    text = capsys.readouterr().out
    assert [line for line in checks if f"  ✓ {line}" not in text] == []


def test_the_command_fails_where_a_check_fails_and_goes_on(checks, capsys, monkeypatch):
    monkeypatch.setattr(subjects.Dead, "examples", lambda: MATRICES, raising=False)
    registry.register(subjects.Dead)
    assert main(["plugins", "check", "Dead", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert {row["check"] for row in rows} >= set(checks)
    assert [r["check"] for r in rows if r["status"] == "failed"] == list(checks)[2:3]
    assert [r["detail"] for r in rows if r["status"] == "skipped"] == ["it does not decode"]


def test_the_command_says_when_there_are_no_examples(capsys):
    registry.register(subjects.Numbers)
    assert main(["plugins", "check", "Numbers"]) == 1
    assert "has no examples(): give it a static method" in capsys.readouterr().out


def test_the_command_says_why_a_plugin_is_broken(site, capsys):
    install(site, "bad", {"bad_one": "import no_such_library\n"}, "bad = bad_one")
    assert main(["plugins", "check", "bad"]) == 1
    assert (
        "loads: ModuleNotFoundError: No module named 'no_such_library'" in capsys.readouterr().out
    )


def test_the_shortest_plugin_of_the_design_keeps_to_the_contract(site, checks):
    install(site, "ecg-whole", {"ecg_whole": ELECTROCARDIOGRAM}, "heart = ecg_whole")
    cls = registry.find("tokenizers", "Electrocardiogram")
    testing.check_tokenizer(cls, [torch.randn(12, n) for n in (19, 20, 500, 1013)])
