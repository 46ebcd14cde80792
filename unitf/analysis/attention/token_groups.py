"""Names the columns that a task gives to the core: each is a token of a column of the sample."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import nn

from unitf.batch import TaskBatch
from unitf.errors import UserError
from unitf.features import Features
from unitf.tasks.task import CoreInputs, Task, Tokenizers
from unitf.tokenizer.canvas import Canvas
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Tokens

LEARNED: str = "learned"  # the name of columns that stand for no token (a class token, a start)
_FIRST = 2**20  # learned columns hold smaller numbers


@dataclass(frozen=True, eq=False)
class TokenGroup:
    """The tokens of a sequence that come from one column of a sample.

    Args:
        name: the name of the column.
        column_indices: where the tokens are in the sequence.
        names: a name of each token, for a person.
        canvas: the picture that the tokens are parts of, if they are parts of one.
    """

    name: str
    column_indices: list[int]
    names: list[str]
    canvas: Canvas | None = None

    def only(self, pairs: Sequence[tuple[int, int]]) -> "TokenGroup":
        """Returns some of the tokens; `pairs` has the (column index, number) of each."""
        column_indices = [column_index for column_index, _ in pairs]
        kept = [number for _, number in pairs]
        canvas = self.canvas and replace(self.canvas, boxes=self.canvas.boxes[kept])
        return TokenGroup(
            self.name, column_indices, [self.names[number] for number in kept], canvas
        )


Side = list[TokenGroup]  # all tokens of a sequence


def label(task: Task, batch: TaskBatch, tokenizers: Tokenizers) -> tuple[Side, Side | None, int]:
    """Names the columns that a task gives to the core, for a batch of one sample.

    Returns:
        The groups of the core's tokens, those of its memory, and the length of the prefix.
    """
    calls: list[tuple[str, Features]] = []
    with _numbering(tokenizers, calls):
        core_inputs: CoreInputs = task.core_inputs(batch, tokenizers)
    columns = _columns(task, batch, calls)
    groups = [
        TokenGroup(
            column, [], names_of(tokenizers[name], features), _canvas(tokenizers[name], features)
        )
        for column, (name, features) in zip(columns, calls, strict=True)
    ]
    memory = None if core_inputs.memory is None else _side(core_inputs.memory, groups)
    prefix = 0 if core_inputs.prefix is None else core_inputs.prefix[0]
    return _side(core_inputs.tokens, groups), memory, prefix


_Hook = Callable[[nn.Module, tuple[object, ...], dict[str, object], Tokens], Tokens]


@contextmanager
def _numbering(tokenizers: Tokenizers, calls: list[tuple[str, Features]]) -> Iterator[None]:
    """Inside the context, the columns of a tokenizer hold their numbers instead of their content.

    So each column is recognised, however a task orders them and whatever it puts between them.
    """

    def number(
        name: str, args: tuple[object, ...], kwargs: Mapping[str, object], tokens: Tokens
    ) -> Tokens:
        features = cast(Features, args[0] if args else kwargs["features"])
        rows = torch.zeros_like(tokens.rows, dtype=torch.float32)
        first = _FIRST * (1 + len(calls)) - (tokens.num_tokens - features.num_tokens)
        rows[:, 0] = first + torch.arange(len(rows), device=rows.device)
        calls.append((name, features))
        return tokens.with_rows(rows)

    def hook(name: str) -> _Hook:
        return lambda _, args, kwargs, tokens: number(name, args, kwargs, tokens)

    handles = [
        tokenizer.register_forward_hook(hook(name), with_kwargs=True)
        for name, tokenizer in tokenizers.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _columns(task: Task, batch: TaskBatch, calls: list[tuple[str, Features]]) -> list[str]:
    """Returns the column of the sample that each call of a tokenizer was for."""
    columns: list[str] = []
    inputs: Mapping[str, str] = task.inputs
    for name, features in calls:
        candidates = [column for column, f in batch.features.items() if f is features]
        if not candidates and task.target is not None and name == task.target_tokenizer:
            candidates = [task.target]
        # a task may replace the features of columns (to hide tokens), but keeps their order
        left = [c for c, tokenizer in inputs.items() if tokenizer == name and c not in columns]
        candidates += left or [c for c, tokenizer in inputs.items() if tokenizer == name]
        columns.append(candidates[0])
    return columns


def names_of(tokenizer: Tokenizer, features: Features) -> list[str]:
    """Returns a name for each token: its id if the tokenizer has no names."""
    if features.num_tokens == 0:
        return []
    try:
        return tokenizer.names(features)
    except UserError:  # the tokenizer has no names
        return [str(i) for i in features.values.tolist()]


def _canvas(tokenizer: Tokenizer, features: Features) -> Canvas | None:
    return tokenizer.canvas(features) if features.num_tokens else None


def _side(tokens: Tokens, groups: list[TokenGroup]) -> Side:
    """Returns the groups of one sequence in the order of the calls; learned columns are last."""
    pairs_of: list[list[tuple[int, int]]] = [[] for _ in groups]  # (column index, token number)
    learned = TokenGroup(LEARNED, [], [])
    for column_index, number in enumerate(tokens.rows[:, 0].round().long().tolist()):
        call, token = divmod(number, _FIRST)
        if 1 <= call <= len(groups) and token < len(groups[call - 1].names):
            pairs_of[call - 1].append((column_index, token))
        else:
            learned.column_indices.append(column_index)
            learned.names.append(f"[{LEARNED}]")
    side = [group.only(pairs) for group, pairs in zip(groups, pairs_of, strict=True) if pairs]
    return [*side, learned] if learned.column_indices else side
