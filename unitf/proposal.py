"""Proposal: the answer of a class to the question whether it fits a person's data, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from unitf.errors import UserError


@dataclass(frozen=True)
class Column:
    """Some values of one column of the training samples, as a tokenizer or a task is shown them.

    Args:
        name: the name of the column.
        values: up to some hundred values, evenly spaced over the samples, none of them missing. A
            text that names a file beside the data is the path of that file, or its bytes.
        num_samples: the number of training samples, also of those that are not shown.
        num_missing: how many of the samples that were looked at lack the column.
        written: whether the model must write the values (a language model), not only read them.
        is_target: whether the column is what is predicted from others.
    """

    name: str
    values: Sequence[object]
    num_samples: int
    num_missing: int = 0
    written: bool = False
    is_target: bool = False


@dataclass(frozen=True)
class Proposal:
    """How a class would be used for data that a person gives.

    Args:
        settings: the arguments of the class as plain data. A class within them is written as
            `{"class_path": "Spectrogram", "init_args": {…}}`. A tokenizer leaves out `dim`, a task
            leaves out `inputs` and `target`.
        confidence: from 0 to 1. The highest answer is taken; a close second is named. Orientation:
            0.9 for what can hardly be anything else, 0.5 for what fits among other things, 0.1
            for what works if nothing else does.
        reason: why, in words; the line that the person reads, as "12 folders of .png files".
        recipe: further keys of the recipe that go with it, as `{"model.core.dropout": 0.1}`. A
            recipe that others propose for too takes the value of the first: source, tokenizers in
            the order of their columns, task.
        target: of a source: the column that its samples are made to predict, if it is sure of it.
    """

    settings: Mapping[str, object]
    confidence: float
    reason: str
    recipe: Mapping[str, object] = field(default_factory=dict)
    target: str | None = None


def checked_proposal(answer: object, question: str) -> Proposal | None:
    """Returns the answer of a class.

    Args:
        answer: what `recognise` returned.
        question: the method that was called, for the message: "Beats.recognise".

    Raises:
        UserError: it is neither None nor a proposal of plain data.
    """
    if answer is None:
        return None
    if not isinstance(answer, Proposal):
        raise UserError(
            f"{question} gave {type(answer).__name__}, expected a unitf.Proposal or None"
        )
    confidence = answer.confidence
    if not isinstance(confidence, int | float) or not 0 <= confidence <= 1:  # NaN neither
        raise UserError(f"{question} gave the confidence {confidence!r}, expected 0 to 1")
    if not isinstance(answer.reason, str) or not answer.reason.strip():
        raise UserError(f"{question} gave the reason {answer.reason!r}, expected words")
    if answer.target is not None and not isinstance(answer.target, str):
        raise UserError(f"{question} gave the target {answer.target!r}, expected a column or None")
    for name, settings in (("settings", answer.settings), ("recipe", answer.recipe)):
        if not isinstance(settings, Mapping):
            kind = type(settings).__name__
            raise UserError(f"{question} gave {name} as {kind}, expected a dictionary")
        check_plain(settings, f"{question}: {name}")
    return answer


def check_plain(value: object, location: str) -> None:
    """Checks that a value is plain data, which a recipe can carry.

    Raises:
        UserError: it is not; the message says where.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise UserError(f"{location}: found the key {key!r}, expected a name")
            check_plain(item, f"{location}.{key}")
    elif isinstance(value, list):
        for item in value:
            check_plain(item, location)
    elif value is not None and type(value) not in (str, int, float, bool):
        raise UserError(
            f"{location}: found {type(value).__name__}, expected text, numbers, lists and "
            "dictionaries"
        )
