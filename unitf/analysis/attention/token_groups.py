"""Labels: which token of which column each of the columns is that a task gives to the core."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from unitf.batch import TaskBatch
from unitf.errors import UserError
from unitf.tasks.task import CoreInputs, Task, Tokenizers
from unitf.tokenizer.canvas import Canvas
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Features, Tokens

LEARNED = "learned"  # what columns are called that stand for no token (a class token, a start)
_FIRST = 2**20  # no learned column begins with such a number


@dataclass(frozen=True, eq=False)
class TokenGroup:
    """The tokens that one column of a sample brought to a sequence.

    Args:
        name: of the column.
        places: of the tokens in the sequence.
        names: what a person calls each.
        canvas: the picture that they are parts of, if they are parts of one.
    """

    name: str
    column_indices: list[int]
    names: list[str]
    canvas: Canvas | None = None

    def only(self, pairs: Sequence[tuple[int, int]]) -> "TokenGroup":
        """Some of its tokens, by their number, at other places: (place, number) of each."""
        column_indices, kept = (
            [column_index for column_index, _ in pairs],
            [number for _, number in pairs],
        )
        canvas = self.canvas and replace(self.canvas, boxes=self.canvas.boxes[kept])
        return TokenGroup(
            self.name, column_indices, [self.names[number] for number in kept], canvas
        )


Side = list[TokenGroup]  # all tokens of a sequence


def label(task: Task, batch: TaskBatch, tokenizers: Tokenizers) -> tuple[Side, Side | None, int]:
    """Of a view of one sample: the core's tokens, its memory's, and the length of the prefix."""
    calls: list[tuple[str, Features]] = []
    with _numbering(tokenizers, calls):
        given: CoreInputs = task.core_inputs(batch, tokenizers)
    column_of = _columns(task, batch, calls)
    named = [
        TokenGroup(
            column, [], names_of(tokenizers[name], features), _canvas(tokenizers[name], features)
        )
        for column, (name, features) in zip(column_of, calls, strict=True)
    ]
    sides = [None if t is None else _side(t, named) for t in (given.tokens, given.memory)]
    assert sides[0] is not None
    return sides[0], sides[1], 0 if given.prefix is None else given.prefix[0]


@contextmanager
def _numbering(tokenizers: Tokenizers, calls: list[tuple[str, Features]]) -> Iterator[None]:
    """While it lasts, a tokenizer's columns say which they are, instead of what they hold.

    However a task arranges them, with whatever it puts between them, each is found again.
    """

    def number(name: str, tokenizer: Any, given: Any, named: Any, tokens: Tokens) -> Tokens:
        features = given[0] if given else named["features"]
        rows = torch.zeros_like(tokens.rows, dtype=torch.float32)
        first = _FIRST * (1 + len(calls)) - (tokens.num_tokens - features.num_tokens)
        rows[:, 0] = first + torch.arange(len(rows), device=rows.device)
        calls.append((name, features))
        return tokens.with_rows(rows)

    def hook(name: str) -> Any:
        return lambda *arguments: number(name, *arguments)

    hooks = [
        tokenizer.register_forward_hook(hook(name), with_kwargs=True)
        for name, tokenizer in tokenizers.items()
    ]
    try:
        yield
    finally:
        for one in hooks:
            one.remove()


def _columns(task: Task, batch: TaskBatch, calls: list[tuple[str, Features]]) -> list[str]:
    """The column that each call of a tokenizer was for."""
    columns: list[str] = []
    used: Mapping[str, str] = task.inputs
    for name, features in calls:
        own = [column for column, f in batch.features.items() if f is features]
        if not own and task.target is not None and name == task.target_tokenizer:
            own = [task.target]
        # a task may give something else instead of a column (with tokens hidden), in their order
        left = [c for c, tokenizer in used.items() if tokenizer == name and c not in columns]
        own += left or [column for column, tokenizer in used.items() if tokenizer == name]
        columns.append(own[0])
    return columns


def names_of(tokenizer: Tokenizer, features: Features) -> list[str]:
    if features.num_tokens == 0:
        return []
    try:
        return tokenizer.names(features)
    except UserError:  # it has none
        return [str(i) for i in features.values.tolist()]


def _canvas(tokenizer: Tokenizer, features: Features) -> Canvas | None:
    return tokenizer.canvas(features) if features.num_tokens else None


def _side(tokens: Tokens, named: list[TokenGroup]) -> Side:
    """The parts of the one sequence, as they were called, and last what was learned."""
    found: list[list[tuple[int, int]]] = [[] for _ in named]  # (place, token) of each call
    learned = TokenGroup(LEARNED, [], [])
    for column_index, number in enumerate(tokens.rows[:, 0].round().long().tolist()):
        call, token = divmod(number, _FIRST)
        if 1 <= call <= len(named) and token < len(named[call - 1].names):
            found[call - 1].append((column_index, token))
        else:
            learned.column_indices.append(column_index)
            learned.names.append(f"[{LEARNED}]")
    side = [part.only(pairs) for part, pairs in zip(named, found, strict=True) if pairs]
    return [*side, learned] if learned.column_indices else side
