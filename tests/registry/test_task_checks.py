"""check_task passes what keeps to the contract, and names the check that the rest fails."""

import json

import pytest
import task_subjects
import torch
from task_subjects import SAMPLES, Good

from unitf import registry, testing
from unitf.cli import main
from unitf.cli.as_json import as_json
from unitf.cli.plugin_hint import add_hint
from unitf.errors import UserError
from unitf.features import Features
from unitf.testing.spawned_worker import in_worker
from unitf.tokenizer.tokenizer import Tokenizer

INPUTS = ["text", "more"]


def outcomes_of(cls, samples=SAMPLES, inputs=INPUTS, **settings):
    return list(testing.run_task_checks(lambda: cls(inputs, "value"), samples, **settings))


@pytest.fixture
def checks(monkeypatch):
    """Without the check that starts a process, which has its own test."""
    kept = {name: check for name, check in testing.TASK_CHECKS.items() if "spawned" not in name}
    monkeypatch.setattr(testing, "TASK_CHECKS", kept)
    return kept


@pytest.mark.slow
def test_a_good_task_passes_every_check_in_a_spawned_worker_too():
    outcomes = outcomes_of(Good)
    assert [o.check for o in outcomes] == ["made, fitted, built", *testing.TASK_CHECKS]
    assert {o.status for o in outcomes if o.check != "generates"} == {"passed"}, outcomes
    assert next(o for o in outcomes if o.check == "generates").detail == "it does not generate"


@pytest.mark.parametrize(
    ("name", "check", "message"),
    [
        ("Empty", "targets collate, also none", "RuntimeError: stack expects a non-empty"),
        ("NoTensor", "targets collate, also none",
         "NoTensor.encode_target: found int, expected a tensor"),
        ("Changes", "targets collate, also none", "found a changed sample, expected none"),
        ("Infinite", "losses finite", "found NaN or infinity, expected finite numbers"),
        ("Scalar", "losses finite", "found shape (), expected (L,)"),
        ("Fewer", "losses finite", "losses with loss_per_sample: found 4, expected 5, one each"),
        ("Unstated", "losses finite", "num_losses: found 5, expected 10, as losses returned"),
        ("Detached", "losses finite", "found no gradient, expected one, to the core"),
        ("Idle", "gradients reach every parameter", "no gradient for forgotten"),
        ("ManyIdle", "gradients reach every parameter", "idle.0, idle.1, idle.2 and 15 more, exp"),
        ("Blind", "gradients reach every parameter", "no gradient in the core"),
        ("Absent", "a batch without samples", "from no samples: found none for core.encoder"),
        ("NoneTarget", "a batch without samples", "in which batch.target is None"),
        ("Padded", "a batch without samples", "losses of no samples: found 1, expected 0"),
        ("Tensors", "predictions are plain data", "predict[0]: found a Tensor, expected"),
        ("OneForAll", "predictions are plain data", "found 1 predictions, expected 5"),
        ("NeedsTarget", "predictions are plain data", "for *: 'int' and 'NoneType'"),
        ("Mixed", "batch of one = batch of many", "predict of samples[0] alone['value']: found"),
        ("Shared", "metrics, part by part", "found the same object, expected a fresh one"),
        ("DictMetrics", "metrics, part by part", "DictMetrics.metrics: found dict, expected a"),
        ("ByName", "metrics, part by part", "counts with metrics.update(prediction, target), not"),
        ("WholeView", "metrics, part by part", "metrics of two halves['error']: found"),
        ("Monitored", "metrics, part by part", "monitor: found 'accuracy', expected one of error"),
        ("TakesAll", "missing inputs and targets", "accepts without an input: found True"),
        ("TakesUntold", "missing inputs and targets", "accepts without a target: found True"),
        ("Careless", "a strange target is refused", "UserError (catch TypeError too)"),
        ("Swallows", "a strange target is refused", "found nothing wrong with it"),
        ("Stubborn", "the loss falls", "loss after 60 steps: found 1.0000, expected below 0.9"),
        ("Forgetful", "configuration and state_dict restore it", "predict of the remade one[0]"),
        ("Unkept", "configuration and state_dict restore it", "predict of the remade one[0]"),
        ("Mute", "generates", "Mute generates nothing"),
        ("Unpicklable", "pickles to a spawned worker", "lambda"),
        pytest.param(
            "Private", "pickles to a spawned worker", "target in a spawned worker: found",
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_what_breaks_the_contract_fails_the_check_that_names_it(name, check, message, monkeypatch):
    wanted = list(testing.TASK_CHECKS)[: list(testing.TASK_CHECKS).index(check) + 1]
    only = {known: testing.TASK_CHECKS[known] for known in wanted}
    monkeypatch.setattr(testing, "TASK_CHECKS", only)
    samples = [dict(sample) for sample in SAMPLES]
    cls = getattr(task_subjects, name)
    with pytest.raises(testing.CheckError) as caught:
        testing.check_task(lambda: cls(INPUTS, "value"), samples)
    text = str(caught.value)
    assert text.startswith(f"{check}: ") and message in text and "\n" not in text


def test_samples_are_needed_and_one_with_all_inputs(checks):
    assert outcomes_of(Good, [])[0].detail == "found 0 samples, expected a handful of raw ones"
    incomplete = [{**sample, "more": None} for sample in SAMPLES]
    found = "samples: found no value of column 'more', expected one"
    assert outcomes_of(Good, incomplete)[0].detail == found
    alone = [{k: v for k, v in s.items() if k != "text" or n} for n, s in enumerate(SAMPLES)]
    failed = [o for o in outcomes_of(Good, [*alone[:1], *alone[2:]]) if o.status == "failed"]
    assert [o.detail for o in failed] == [
        "samples: found none with text and more, expected one at least"
    ]


def test_a_value_that_no_toy_tokenizer_encodes_asks_for_a_tokenizer():
    samples = [{"file": {"path": "a.png"}, "value": 1.0}] * 2
    outcome = outcomes_of(Good, samples, ["file"])[0]
    assert outcome.status == "failed" and "give `tokenizers`" in outcome.detail


class Signs(Tokenizer):
    """A letter a token, for the task's own choice of tokenizer."""

    vocabulary_size = 128

    def encode(self, value, train=False):
        return Features(torch.tensor([ord(c) % 128 for c in value]))


def test_tokenizers_and_a_core_may_be_given(checks):
    core = {"kind": "decoder", "depth": 2}
    outcomes = outcomes_of(Good, tokenizers={"text": Signs}, core=core)
    assert {o.status for o in outcomes} == {"passed", "skipped"}


def test_checks_leave_the_random_generators_and_the_samples_as_they_were(checks):
    torch.manual_seed(3)
    expected, samples = torch.get_rng_state(), [dict(sample) for sample in SAMPLES]
    outcomes_of(Good, samples)
    assert torch.equal(torch.get_rng_state(), expected) and samples == SAMPLES


# ---- unitf plugins check -----------------------------------------------------------------


def test_the_command_checks_a_task_by_its_examples(checks, capsys, monkeypatch):
    example = {"init_args": {"inputs": INPUTS, "target": "value"}, "samples": SAMPLES}
    monkeypatch.setattr(Good, "examples", lambda: example, raising=False)
    registry.register(Good)
    assert main(["plugins", "check", "Good"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in checks if f"✓ {name}" not in shown] == ["generates"]
    monkeypatch.setattr(task_subjects.Idle, "examples", lambda: example, raising=False)
    registry.register(task_subjects.Idle)
    assert main(["plugins", "check", "Idle", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    failed = [row["check"] for row in rows if row["status"] == "failed"]
    assert failed == ["gradients reach every parameter"]


def test_the_command_says_when_a_task_has_no_examples_or_broken_ones(capsys, monkeypatch):
    registry.register(task_subjects.Mixed)
    assert main(["plugins", "check", "Mixed"]) == 1
    assert "has no examples(): give it a static method that returns" in capsys.readouterr().out
    monkeypatch.setattr(task_subjects.Mixed, "examples", lambda: 1 / 0, raising=False)
    assert main(["plugins", "check", "Mixed"]) == 1
    assert "has examples: ZeroDivisionError" in capsys.readouterr().out


def test_a_constructor_that_forgets_that_of_its_base_is_told():
    outcome = outcomes_of(task_subjects.Unconstructed)[0]
    expected = "__init__ does not call super().__init__(inputs, target, weight)"
    assert outcome.detail == f"Unconstructed.{expected}"


def test_an_error_in_the_code_of_a_plugin_says_how_to_test_it():
    task = Good(INPUTS, "value")
    task.fitted = {}
    with pytest.raises(KeyError) as caught:
        task.encode_target({"value": 1.0})
    add_hint(caught.value)
    assert caught.value.__notes__ == ["`unitf plugins check Good` tests what a task must do"]
    with pytest.raises(UserError) as caught:
        task.collate([1])
    add_hint(caught.value)
    assert not hasattr(caught.value, "__notes__")


def _dies(parcel):
    import os

    os._exit(1)


@pytest.mark.slow
def test_a_worker_that_dies_says_what_a_script_must_have():
    with pytest.raises(testing.CheckError, match="if __name__"):
        in_worker(_dies, b"")


def test_predictions_that_are_no_plain_data_are_one_line():
    with pytest.raises(UserError, match="found a Tensor in a task's predictions, expected plain"):
        as_json([{"value": torch.ones(2)}])
