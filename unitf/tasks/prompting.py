"""What the prompts of tasks have in common: how a tokenizer goes on, and reads what was written."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from unitf.errors import UserError
from unitf.generation import Prompt
from unitf.tasks.task import Given
from unitf.tokenizer import Tokenizer
from unitf.tokens import Features, Tokens


def make_prompt(
    given: Given,
    tokenizer: Tokenizer,
    embed: Callable[[Features, Sequence[int]], Tokens],
    written: Sequence[Sequence[int]],
    first: Sequence[int],
    room: Sequence[int | None],
    starts: bool = False,
) -> Prompt:
    """The prompt of a task that writes what one tokenizer decodes.

    Args:
        starts: whether sequences begin with the tokenizer's start token already.
    """
    for length, left in zip(given.tokens.lengths, room, strict=True):
        if left is not None and left < 1:
            raise UserError(
                f"a prompt of {length} tokens leaves no room for another: expected fewer than "
                f"{type(tokenizer).__name__}'s max_tokens {tokenizer.max_tokens}"
            )
    return Prompt(
        given.tokens,
        given.memory,
        given.prefix,
        embed,
        tokenizer.unembed,
        tokenizer.place,
        tuple(map(tuple, written)),
        tuple(first),
        tuple(room),
        tokenizer.vocabulary_size is not None,
        tokenizer.end_id,
        partial(_encode, tokenizer, starts),
        partial(_decode, tokenizer),
    )


def _encode(tokenizer: Tokenizer, starts: bool, value: Any) -> list[int]:
    """The ids of a value, as they would be written: without the end."""
    ids = tokenizer.encode(value).values.tolist()
    if ids and ids[-1] == tokenizer.end_id:
        ids = ids[:-1]
    return ids[1:] if starts and ids and ids[0] == tokenizer.start_id else ids


def _decode(tokenizer: Tokenizer, values: Tensor) -> Any:
    """The value of ids, or of numbers F×N."""
    places = [list(tokenizer.place(number)) for number in range(values.shape[-1])]
    positions = torch.tensor(places).view(-1, tokenizer.num_axes).mT
    return tokenizer.decode(Features(values.cpu(), positions))


def room_of(tokenizer: Tokenizer, first: Sequence[int]) -> list[int | None]:
    """How many tokens fit behind so many."""
    longest = tokenizer.max_tokens
    return [None if longest is None else longest - number for number in first]


def without_end(features: Features, end_id: int | None, otherwise: int | None = None) -> Features:
    """Sequences that somebody may go on with: without the end that a tokenizer puts last.

    Args:
        otherwise: the token of sequences that have none.
    """
    if not features.is_ids:
        return features
    parts = []
    for one in features.split():
        values, positions = one.values, one.positions
        if end_id is not None and values[-1:].tolist() == [end_id]:
            values, positions = values[:-1], positions[:, :-1]
        if otherwise is not None and not len(values):
            values = torch.full((1,), otherwise, device=values.device)
            positions = positions.new_zeros(positions.shape[0], 1)
        parts.append(Features(values, positions))
    return Features.pack(parts) if parts else features


def new_tokens(
    tokenizer: Tokenizer, positions: nn.Module | None, features: Features, samples: Sequence[int]
) -> Tokens:
    """Tokens that follow others of their modality."""
    return tokenizer.without_prefix(features, positions=positions)
