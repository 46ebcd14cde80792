"""Prompt and Reader: what a core reads before it writes, and how it reads what it wrote."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from unitf.core import Cache
from unitf.errors import UserError
from unitf.generation.generation_settings import Generation
from unitf.nn.projection import PackedWeights
from unitf.tokens import Features, Tokens

_WORTH_PACKING = 16  # tokens


@dataclass(frozen=True, eq=False)
class Prompt:
    """What a core reads of S samples before the first token that it writes, and how it goes on.

    Args:
        tokens: S sequences; from its last column each token is predicted.
        memory: what an encoder-decoder reads first.
        prefix: how many tokens at the beginning of each sequence see each other.
        embed: a new token of each of the samples with these numbers, as columns.
        unembed: columns as logits V×N of ids, or as numbers F×N.
        place: the P positions of a modality's token by its number.
        written: for each sample the ids of that modality which are there already.
        first: for each sample the number of the first new token.
        room: for each sample how many tokens it may be continued by; None: any number.
        is_ids: whether tokens are ids.
        end_id: the token that ends a sequence; None: there is none.
        encode: the ids of a raw value.
        decode: the raw value of new ids, or of numbers F×N, of the sample of a number.
    """

    tokens: Tokens
    memory: Tokens | None
    prefix: tuple[int, ...] | None
    embed: Callable[[Features, Sequence[int]], Tokens]
    unembed: Callable[[Tensor], Tensor]
    position_of: Callable[[int], Sequence[float]]
    written: tuple[tuple[int, ...], ...]
    first: tuple[int, ...]
    room: tuple[int | None, ...]
    is_ids: bool
    end_id: int | None
    encode: Callable[[Any], list[int]]
    decode: Callable[[Tensor, int], Any]

    def budgets(self, max_tokens: int) -> list[int]:
        """For each sample how many tokens are written at most."""
        return [max_tokens if room is None else min(max_tokens, room) for room in self.room]


class Reader:
    """A core that reads a prompt and then one token of each sequence after the other.

    Args:
        settings: how many tokens there may be beside the prompt, and its `context`.

    Raises:
        UserError: a context, and a memory or a prefix, which every token has to see.
    """

    def __init__(self, core: nn.Module, prompt: Prompt, settings: Generation) -> None:
        self.core, self.prompt, self.context = core, prompt, settings.context
        context, max_tokens = self.context, max(prompt.budgets(settings.max_tokens), default=0)
        if context is not None and (prompt.memory is not None or prompt.prefix is not None):
            raise UserError("context is for what only goes on; this model reads a whole source")
        # room for what is likely to come; there is more when it comes
        room = prompt.tokens.longest + min(max_tokens, 256)
        self.cache = Cache(room if context is None else min(room, context))
        self.samples = list(range(prompt.tokens.num_sequences))  # whose each sequence is
        self.num_read = 0
        self.recent: Tokens | None = None  # with a context: what the cache has read
        self.packed = PackedWeights() if max_tokens >= _WORTH_PACKING else None

    def begin(self) -> Float[Tensor, "D S"]:
        """Reads the prompt; the columns that predict the first tokens."""
        prompt, tokens = self.prompt, self.prompt.tokens
        if self.context is not None:
            tokens = self.recent = tokens.within(-self.context, None)
        return _last(self.core(tokens, prompt.memory, True, prompt.prefix, self.cache))

    def unembed(self, columns: Float[Tensor, "D S"]) -> Float[Tensor, "_ S"]:
        """What the columns predict."""
        with self._quickly():
            return self.prompt.unembed(columns)

    def _quickly(self) -> AbstractContextManager[None]:
        return nullcontext() if self.packed is None else self.packed.used()

    def follow(self, values: Shaped[Tensor, "*F S"]) -> Float[Tensor, "D S"]:
        """Reads a token of each sequence; the columns that predict the next ones."""
        tokens = self.embedded(values)
        self.num_read += 1
        if self.recent is not None and self.context is not None:
            self.recent = Tokens.concat([self.recent, tokens])
            if self.recent.longest > self.context:
                return self._read_again(self.recent, self.context)
        with self._quickly():
            return self.core(tokens, causal=True, cache=self.cache).matrix

    def _read_again(self, read: Tokens, context: int) -> Float[Tensor, "D S"]:
        """Forgets the first half of the sequences that are longer than the context."""
        kept = [(-max(1, context // 2) if n > context else None, None) for n in read.lengths]
        self.recent = read.at(read.column_indices(kept))
        self.cache = Cache(context)
        return _last(self.core(self.recent, causal=True, cache=self.cache))

    def embedded(self, values: Shaped[Tensor, "*F S"]) -> Tokens:
        """The next token of each sequence as a column."""
        numbers = [self.prompt.first[sample] + self.num_read for sample in self.samples]
        positions = torch.tensor([self.prompt.position_of(number) for number in numbers]).mT
        positions = positions.to(values.device, non_blocking=True)
        features = Features(values, positions.float(), (1,) * len(numbers))
        return self.prompt.embed(features, self.samples)

    def reorder(self, index: Sequence[int], sharing: int = 1) -> None:
        """Goes on with the sequences of these numbers; see `Cache.reorder`."""
        self.cache.reorder(index, sharing)
        if self.recent is not None and [*index] != [*range(len(self.samples))]:
            parts = self.recent.split()
            self.recent = Tokens.pack([parts[number] for number in index])
        self.samples = [self.samples[number] for number in index]


def _last(columns: Tokens) -> Float[Tensor, "D S"]:
    """The last column of each sequence."""
    return columns.rows.index_select(0, columns.offsets[1:] - 1).mT
