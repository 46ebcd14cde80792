"""Joins the columns of a recipe that one tokenizer reads together."""

from collections.abc import Mapping, Sequence
from typing import cast

from unitf.proposal import Column, Proposal
from unitf.recognition.asking import Answer
from unitf.tokenizer.tokenizer import Tokenizer

_JOINED = "cells"  # the input of a task that stands for several columns


def joins(answer: Answer) -> bool:
    """Returns whether a tokenizer reads several columns as one value."""
    return issubclass(answer.cls, Tokenizer) and answer.cls.joins_columns


def joined(columns: Sequence[Column], encoders: Mapping[str, Answer]) -> dict[str, Answer]:
    """Returns the tokenizer of each input of a recipe.

    Columns whose tokenizer reads several become one input: the lists of their settings are put
    together, and of other settings the first counts.

    Args:
        columns: the columns that are read.
        encoders: the tokenizer of each column.
    """
    inputs: dict[str, Answer] = {}
    names: dict[str, str] = {}  # of the joined inputs, by the name of their class
    for column in columns:
        answer = encoders[column.name]
        if not joins(answer):
            inputs[column.name] = answer
            continue
        name = names.setdefault(answer.name, _free(names, encoders))
        inputs[name] = _merged(inputs[name], answer) if name in inputs else answer
    return inputs


def _free(names: Mapping[str, str], columns: Mapping[str, Answer]) -> str:
    """Returns a name for a joined input that no column and no other input has."""
    name = _JOINED
    while name in columns or name in names.values():
        name += "_"
    return name


def _merged(one: Answer, other: Answer) -> Answer:
    settings = dict(one.proposal.settings)
    for key, value in other.proposal.settings.items():
        if isinstance(value, list):
            settings[key] = [*cast("list[object]", settings.get(key, [])), *value]
        else:
            settings.setdefault(key, value)
    first = one.proposal
    proposal = Proposal(settings, first.confidence, first.reason, first.recipe)
    return one._replace(proposal=proposal)
