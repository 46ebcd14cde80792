"""What the prompts of tasks have in common: how a tokenizer goes on, and reads what was written."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from unitf.errors import UserError
from unitf.generation import Prompt
from unitf.tasks.task import CoreInputs
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Features, Tokens

_BEFORE = 16  # tokens, of which a text that goes on with them is read


def make_prompt(
    given: CoreInputs,
    tokenizer: Tokenizer,
    embed: Callable[[Features, Sequence[int]], Tokens],
    written: Sequence[Sequence[int]],
    first: Sequence[int],
    room: Sequence[int | None],
    starts: bool = False,
    goes_on: bool = False,
) -> Prompt:
    """The prompt of a task that writes what one tokenizer decodes.

    Args:
        starts: whether sequences begin with the tokenizer's start token already.
        goes_on: whether what is new goes on with the text that is there: then it is read together
            with that, because a tokenizer may leave out the space that a text begins with.
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
        tokenizer.position_of,
        tuple(map(tuple, written)),
        tuple(first),
        tuple(room),
        tokenizer.vocabulary_size is not None,
        tokenizer.end_id,
        partial(_encode, tokenizer, starts),
        partial(_decode, tokenizer, written if goes_on else None),
    )


def _encode(tokenizer: Tokenizer, starts: bool, value: Any) -> list[int]:
    """The ids of a value, as they would be written: without the end."""
    ids = tokenizer.encode(value).values.tolist()
    if ids and ids[-1] == tokenizer.end_id:
        ids = ids[:-1]
    return ids[1:] if starts and ids and ids[0] == tokenizer.start_id else ids


def _decode(
    tokenizer: Tokenizer, written: Sequence[Sequence[int]] | None, values: Tensor, sample: int
) -> Any:
    """The value of new ids, or of numbers F×N.

    Args:
        written: of each sample the ids before them, which they go on with.
    """
    if written is not None and len(written[sample]) and values.ndim == 1:
        # the last ones, so that a long prompt is not read again with each token
        given = torch.tensor([*written[sample][-_BEFORE:]], dtype=values.dtype)
        before = _value(tokenizer, given)
        whole = _value(tokenizer, torch.cat([given, values.cpu()]))
        if isinstance(before, str) and isinstance(whole, str) and whole.startswith(before):
            return whole[len(before) :]
    return _value(tokenizer, values)


def _value(tokenizer: Tokenizer, values: Tensor) -> Any:
    positions_of_tokens = [
        list(tokenizer.position_of(number)) for number in range(values.shape[-1])
    ]
    positions = torch.tensor(positions_of_tokens).view(-1, tokenizer.num_axes).mT
    return tokenizer.decode(Features(values.cpu(), positions))


def room_of(tokenizer: Tokenizer, first: Sequence[int]) -> list[int | None]:
    """How many tokens fit behind so many."""
    sizes = [size for size in (tokenizer.max_tokens, _grid(tokenizer)) if size is not None]
    longest = min(sizes, default=None)
    return [None if longest is None else longest - number for number in first]


def _grid(tokenizer: Tokenizer) -> int | None:
    """How many tokens a tokenizer knows a place for; None: there is no end to them."""
    if tokenizer.num_axes == 1:
        return None
    try:
        shape = tokenizer.position_shape
    except UserError:
        shape = None
    return None if shape is None else math.prod(shape)


def without_end(
    features: Features, end_id: int | None, otherwise: Sequence[int | None] | None = None
) -> Features:
    """Sequences that somebody may go on with: without the end that a tokenizer puts last.

    Args:
        otherwise: for each sequence the token that it gets if it has none.
    """
    if not features.is_ids:
        return features
    parts = []
    for one, token in zip(
        features.split(), otherwise or [None] * features.num_sequences, strict=True
    ):
        values, positions = one.values, one.positions
        if end_id is not None and values[-1:].tolist() == [end_id]:
            values, positions = values[:-1], positions[:, :-1]
        if token is not None and not len(values):
            values = torch.full((1,), token, device=values.device)
            positions = positions.new_zeros(positions.shape[0], 1)
        parts.append(Features(values, positions))
    return Features.pack(parts) if parts else features


def new_tokens(
    tokenizer: Tokenizer, positions: nn.Module | None, features: Features, samples: Sequence[int]
) -> Tokens:
    """Tokens that follow others of their modality."""
    return tokenizer.without_prefix(features, positions=positions)
