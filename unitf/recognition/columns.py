"""Chooses what is predicted, from which columns, and by which classes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple, TypeAlias, cast

from unitf.errors import UserError, did_you_mean
from unitf.proposal import Column
from unitf.recognition.asking import Answer, answers
from unitf.recognition.decisions import Decisions
from unitf.recognition.looking import made_task

Answers: TypeAlias = list[Answer]
LEAST: float = 0.25  # the confidence below which a column is left out
_FIRST, _FEWEST = 200, 6  # values that show whether a column numbers the rows
_ALIKE = 0.05  # how much less confident another target is that could be meant as well


class Chosen(NamedTuple):
    """What is learned from what.

    Args:
        target: the column that is predicted; None: there is no such column.
        inputs: the columns that are read.
        tokenizers: the answers for each input, the best first.
        tasks: the answers for the target, the best first.
    """

    target: Column | None
    inputs: list[Column]
    tokenizers: Mapping[str, Answers]
    tasks: Answers


def choose(columns: Sequence[Column], target: str | None, decisions: Decisions) -> Chosen:
    """Chooses the target, the inputs, their tokenizers and the task.

    Args:
        columns: the columns of the training samples.
        target: the name of the target that a person gave.
        decisions: is told what was decided.

    Raises:
        UserError: there is no such target, several could be meant, or nothing fits.
    """
    if target is not None and target not in {column.name for column in columns}:
        known = did_you_mean(target, [column.name for column in columns])
        raise UserError(f"--target {target}: there is no such column{known}")
    encoders = {c.name: answers("tokenizers", c) for c in columns if _varies(c) and not _counts(c)}
    usable = [c for c in columns if _is_usable(encoders.get(c.name, []))]
    candidates = [
        Chosen(column, [c for c in usable if c is not column], encoders, [])
        for column in columns
        if target in (None, column.name)
    ]
    if target is None:
        candidates.append(Chosen(None, usable, encoders, []))
    asked = [c._replace(tasks=answers("tasks", c.target, c.inputs)) for c in candidates if c.inputs]
    possible = sorted([c for c in asked if c.tasks], key=lambda c: -c.tasks[0].proposal.confidence)
    if not possible:
        raise UserError(_nothing(columns, target, usable))
    _refuse_several(possible)
    chosen = _with_written(possible[0])
    _say(chosen, columns, decisions)
    return chosen


def _say(chosen: Chosen, columns: Sequence[Column], decisions: Decisions) -> None:
    """Says what was decided."""
    if chosen.target is not None:
        decisions.add("--target", chosen.target.name)
        if chosen.target.written:
            key = f"model.tokenizers.{chosen.target.name}"
            decisions.add_answer(key, chosen.tokenizers[chosen.target.name])
    read = {column.name for column in chosen.inputs}
    for column in columns:
        if chosen.target is not None and column.name == chosen.target.name:
            continue
        if column.name in read:
            decisions.add_answer(f"model.tokenizers.{column.name}", chosen.tokenizers[column.name])
        else:
            decisions.add(f"column {column.name}", f"left out, {_why_left_out(column)}")


def _why_left_out(column: Column) -> str:
    if not _varies(column):
        return f"it is always {str(column.values[0])[:40]!r}"
    if _counts(column):
        return f"it numbers the rows, as {str(column.values[0])[:40]!r}"
    return f"no tokenizer encodes values as {str(column.values[0])[:40]!r}"


def _varies(column: Column) -> bool:
    """Returns whether a column has two values that differ; arrays are taken to."""
    first = column.values[0]
    if not isinstance(first, str | int | float | bool):
        return True
    return any(value != first for value in column.values)


def _counts(column: Column) -> bool:
    """Returns whether a column numbers the rows, as 1 or P0001: it rises from each to the next."""
    found = [re.fullmatch(r"([^\d\s]*)(\d{1,18})", str(value)) for value in column.values[:_FIRST]]
    matches = [match for match in found if match is not None]
    if len(matches) < _FEWEST or len(matches) < len(found):
        return False
    numbers = [int(match[2]) for match in matches]
    return len({match[1] for match in matches}) == 1 and all(
        one < other for one, other in pairwise(numbers)
    )


def _is_usable(ranked: Answers) -> bool:
    return bool(ranked) and ranked[0].proposal.confidence >= LEAST


def _refuse_several(possible: Sequence[Chosen]) -> None:
    """Refuses to guess among targets of which each could be meant."""
    best = possible[0].tasks[0].proposal.confidence
    alike = [c for c in possible if best - c.tasks[0].proposal.confidence <= _ALIKE]
    names = [c.target.name for c in alike if c.target is not None]
    if len(names) > 1:
        raise UserError(
            f"several columns could be what is predicted ({', '.join(names[:12])}"
            f"{', …' if len(names) > 12 else ''}), expected --target COLUMN"
        )


def _nothing(columns: Sequence[Column], target: str | None, usable: Sequence[Column]) -> str:
    names = ", ".join(column.name for column in columns)
    if not [column for column in usable if column.name != target]:
        return f"no tokenizer encodes a column of {names}, expected one to learn from"
    if target is None:
        return f"no column of {names} looks like something to predict, expected --target COLUMN"
    [column] = [column for column in columns if column.name == target]
    different = len({str(value) for value in column.values})
    return (
        f"--target {target}: no task learns it; {different} of {len(column.values)} values are "
        f"different, such as {str(column.values[0])[:40]!r}"
    )


def _with_written(chosen: Chosen) -> Chosen:
    """Asks the tokenizers again for the columns that the model must write."""
    best = chosen.tasks[0]
    names = [column.name for column in chosen.inputs]
    target = None if chosen.target is None else chosen.target.name
    task = made_task(best.cls, best.proposal.settings, names, target)
    inputs = [replace(column, written=column.name in task.unembeds) for column in chosen.inputs]
    written = [column for column in inputs if column.written]
    if chosen.target is not None and task.target_tokenizer == target:
        chosen = chosen._replace(target=replace(chosen.target, written=True, is_target=True))
        written.append(cast(Column, chosen.target))
    again = {c.name: ranked for c in written if (ranked := answers("tokenizers", c))}
    return chosen._replace(inputs=inputs, tokenizers={**chosen.tokenizers, **again})
