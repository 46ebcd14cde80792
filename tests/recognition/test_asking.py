"""What classes answer to the question whether they fit, and how the answers are checked."""

import pytest

import unitf
from unitf import Column, Features, Proposal, Tokenizer, UserError
from unitf.proposal import checked_proposal
from unitf.recognition.asking import answers, close_second
from unitf.registry import registry


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    """What a test registers is gone after it."""
    installed = registry._installed()
    monkeypatch.setattr(installed, "entries", list(installed.entries))


def made(name: str, answer: object, base: type = Tokenizer) -> type:
    """Registers a tokenizer that gives this answer, or raises it."""

    def recognise(cls, column):
        if isinstance(answer, Exception):
            raise answer
        return answer

    body = {
        "vocabulary_size": 2,
        "encode": lambda self, value, train=False: Features(value),
        "recognise": classmethod(recognise),
    }
    return unitf.register(type(name, (base,), body))


def asked() -> list[str]:
    return [answer.name for answer in answers("tokenizers", Column("x", [object()], 1))]


def test_no_class_fits_unless_it_says_so():
    unitf.register(type("Silent", (Tokenizer,), {"encode": lambda self, value: None}))
    assert "Silent" not in asked()


def test_the_most_confident_answer_comes_first():
    made("Unsure", Proposal({}, 0.95, "perhaps"))
    made("Certain", Proposal({}, 1.0, "surely"))
    assert asked()[:2] == ["Certain", "Unsure"]


def test_a_close_second_is_named_and_a_distant_one_is_not():
    made("First", Proposal({}, 1.0, "surely"))
    second = made("Second", Proposal({}, 0.95, "nearly"))
    ranked = answers("tokenizers", Column("x", [object()], 1))
    assert close_second(ranked) == ranked[1] and ranked[1].cls is second
    assert close_second([ranked[0], ranked[1]._replace(proposal=Proposal({}, 0.2, "no"))]) is None
    assert close_second(ranked[:1]) is None


def test_an_answer_that_fails_is_named_and_the_others_go_on(caplog):
    made("Broken", KeyError("leads"))
    made("Wrong", {"settings": {}})
    made("Good", Proposal({}, 1.0, "surely"))
    assert asked()[0] == "Good"
    assert not {"Broken", "Wrong"} & set(asked())
    lines = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("Broken.recognise is left out: KeyError") for line in lines)
    assert any("Wrong.recognise gave dict, expected a unitf.Proposal or None" in x for x in lines)


def test_a_class_that_inherits_an_answer_is_not_asked_twice():
    base = made("Base", Proposal({}, 1.0, "surely"))
    unitf.register(type("Derived", (base,), {}))
    assert asked().count("Base") == 1 and "Derived" not in asked()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Proposal({}, 1.5, "x"), "the confidence 1.5, expected 0 to 1"),
        (Proposal({}, float("nan"), "x"), "the confidence nan, expected 0 to 1"),
        (Proposal({}, 0.5, " "), "the reason ' ', expected words"),
        (Proposal({"size": (8, 8)}, 0.5, "x"), "settings.size: found tuple, expected text"),
        (Proposal({}, 0.5, "x", {"a": {1: 2}}), "recipe.a: found the key 1, expected a name"),
    ],
)
def test_what_is_no_proposal_is_refused_in_one_line(answer, message):
    with pytest.raises(UserError) as caught:
        checked_proposal(answer, "Beats.recognise")
    assert str(caught.value).startswith("Beats.recognise") and message in str(caught.value)
    assert "\n" not in str(caught.value)
