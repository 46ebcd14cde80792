"""Prompts of tasks that generate: how new tokens are embedded, and decoded to a value."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from unitf.errors import UserError
from unitf.features import Features
from unitf.generation import Prompt
from unitf.tasks.task import CoreInputs
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Tokens

_BEFORE = 16  # a continued text is decoded together with this many tokens before it


def make_prompt(
    inputs: CoreInputs,
    tokenizer: Tokenizer,
    embed: Callable[[Features, Sequence[int]], Tokens],
    written: Sequence[Sequence[int]],
    first: Sequence[int],
    room: Sequence[int | None],
    starts: bool = False,
    goes_on: bool = False,
) -> Prompt:
    """Creates the prompt of a task that generates tokens of one tokenizer.

    Args:
        inputs: what the core reads before the first new token.
        tokenizer: encodes and decodes the generated tokens.
        embed: embeds one new token of each of the samples with these indices.
        written: for each sample the ids that are already there.
        first: for each sample the index of the first new token.
        room: for each sample the number of tokens that still fit; None: any number.
        starts: whether the sequences already begin with the tokenizer's start token.
        goes_on: whether new tokens continue the ids in `written`. They are then decoded together
            with these, because a tokenizer may drop the space at the beginning of a text.

    Raises:
        UserError: a prompt leaves no room for another token.
    """
    for length, left in zip(inputs.tokens.lengths, room, strict=True):
        if left is not None and left < 1:
            raise UserError(
                f"a prompt of {length} tokens leaves no room for another: expected fewer than "
                f"{type(tokenizer).__name__}'s max_tokens {tokenizer.max_tokens}"
            )
    return Prompt(
        inputs.tokens,
        inputs.memory,
        inputs.prefix,
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


def _encode(tokenizer: Tokenizer, starts: bool, value: object) -> list[int]:
    """Returns the ids of a value as the core would generate them, without the end token."""
    ids = tokenizer.encode(value).values.tolist()
    if ids and ids[-1] == tokenizer.end_id:
        ids = ids[:-1]
    return ids[1:] if starts and ids and ids[0] == tokenizer.start_id else ids


def _decode(
    tokenizer: Tokenizer, written: Sequence[Sequence[int]] | None, values: Tensor, sample: int
) -> object:
    """Decodes new ids, or numbers F×N, to a raw value.

    Args:
        written: for each sample the ids that the new ones continue; None: they continue none.
    """
    if written is not None and len(written[sample]) and values.ndim == 1:
        # only the last ids, so that a long prompt is not decoded again with each token
        last_ids = torch.tensor([*written[sample][-_BEFORE:]], dtype=values.dtype)
        before = _value(tokenizer, last_ids)
        text = _value(tokenizer, torch.cat([last_ids, values.cpu()]))
        if isinstance(before, str) and isinstance(text, str) and text.startswith(before):
            return text[len(before) :]
    return _value(tokenizer, values)


def _value(tokenizer: Tokenizer, values: Tensor) -> object:
    positions_of_tokens = [
        list(tokenizer.position_of(number)) for number in range(values.shape[-1])
    ]
    positions = torch.tensor(positions_of_tokens).view(-1, tokenizer.num_axes).mT
    return tokenizer.decode(Features(values.cpu(), positions))


def room_of(tokenizer: Tokenizer, first: Sequence[int]) -> list[int | None]:
    """Returns for each sequence how many tokens fit after its first `first`; None: any number."""
    sizes = [size for size in (tokenizer.max_tokens, _grid_size(tokenizer)) if size is not None]
    longest = min(sizes, default=None)
    return [None if longest is None else longest - number for number in first]


def _grid_size(tokenizer: Tokenizer) -> int | None:
    """Returns the number of positions in a tokenizer's grid; None: it is unlimited."""
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
    """Removes the end token, which a tokenizer puts last, so that sequences can be continued.

    Args:
        otherwise: for each sequence the token that it gets if it would be empty; None: no token.
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
    """Embeds tokens that follow others of their modality; `samples` is not needed."""
    return tokenizer.without_prefix(features, positions=positions)
