"""Prompt and Reader: what a core reads before it writes, and how it reads its own tokens."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from unitf.core import Cache
from unitf.errors import UserError
from unitf.features import Features, RawValue
from unitf.generation.generation_settings import Generation
from unitf.nn.projection import PackedWeights
from unitf.tokens import Tokens

_WORTH_PACKING = 16  # packing the weights pays off from this number of tokens


@dataclass(frozen=True, eq=False)
class Prompt:
    """What a core reads of S samples before it writes, and how its tokens are read and decoded.

    Args:
        tokens: S sequences; the last column of each predicts its first new token.
        memory: the sequences that the encoder of an encoder-decoder reads; None: there is none.
        prefix: how many tokens at the beginning of each sequence attend to each other.
        embed: maps one new token of each sample, and the numbers of these samples, to columns.
        unembed: maps columns to logits V×N of ids, or to numbers F×N.
        position_of: maps the number of a token in its modality to its P positions.
        written: for each sample the ids that its sequence holds already.
        first: for each sample the number of its first new token.
        room: for each sample the maximum number of new tokens; None: there is no limit.
        is_ids: whether tokens are ids; otherwise they are numbers.
        end_id: the token that ends a sequence; None: there is no such token.
        encode: maps a raw value to ids.
        decode: maps new ids, or numbers F×N, and the number of a sample to a raw value.
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
    encode: Callable[[RawValue], list[int]]
    decode: Callable[[Tensor, int], RawValue]

    def budgets(self, max_tokens: int) -> list[int]:
        """Returns for each sample the maximum number of tokens to write."""
        return [max_tokens if room is None else min(max_tokens, room) for room in self.room]


class Reader:
    """A core that reads a prompt, and then one token of each sequence at a time.

    Args:
        core: the Transformer.
        prompt: what it reads first.
        settings: the maximum number of new tokens, and the `context`.

    Raises:
        UserError: the settings have a context, but the prompt has a memory or a prefix, which
            every token has to see.
    """

    def __init__(self, core: nn.Module, prompt: Prompt, settings: Generation) -> None:
        self.core: nn.Module = core
        self.prompt: Prompt = prompt
        self.context: int | None = settings.context
        context, max_tokens = self.context, max(prompt.budgets(settings.max_tokens), default=0)
        if context is not None and (prompt.memory is not None or prompt.prefix is not None):
            raise UserError("context is for what only goes on; this model reads a whole source")
        # the cache grows when more tokens follow
        room = prompt.tokens.longest + min(max_tokens, 256)
        self.cache: Cache = Cache(room if context is None else min(room, context))
        # the number of the sample that each sequence belongs to
        self.samples: list[int] = list(range(prompt.tokens.num_sequences))
        self.num_read: int = 0
        self.recent: Tokens | None = None  # with a context: what the cache has read
        self.packed: PackedWeights | None = (
            PackedWeights() if max_tokens >= _WORTH_PACKING else None
        )

    def begin(self) -> Float[Tensor, "D S"]:
        """Reads the prompt and returns the columns that predict the first tokens."""
        prompt, tokens = self.prompt, self.prompt.tokens
        if self.context is not None:
            tokens = self.recent = tokens.within(-self.context, None)
        return _last(self.core(tokens, prompt.memory, True, prompt.prefix, self.cache))

    def unembed(self, columns: Float[Tensor, "D S"]) -> Float[Tensor, "_ S"]:
        """Returns what the columns predict: logits V×S of ids, or numbers F×S."""
        with self._quickly():
            return self.prompt.unembed(columns)

    def _quickly(self) -> AbstractContextManager[None]:
        return nullcontext() if self.packed is None else self.packed.used()

    def follow(self, values: Shaped[Tensor, "*F S"]) -> Float[Tensor, "D S"]:
        """Reads a token of each sequence and returns the columns that predict the next ones."""
        tokens = self.embedded(values)
        self.num_read += 1
        if self.recent is not None and self.context is not None:
            self.recent = Tokens.concat([self.recent, tokens])
            if self.recent.longest > self.context:
                return self._read_again(self.recent, self.context)
        with self._quickly():
            return self.core(tokens, causal=True, cache=self.cache).matrix

    def _read_again(self, read: Tokens, context: int) -> Float[Tensor, "D S"]:
        """Forgets the first half of each sequence that is longer than the context."""
        kept = [(-max(1, context // 2) if n > context else None, None) for n in read.lengths]
        self.recent = read.at(read.column_indices(kept))
        self.cache = Cache(context)
        return _last(self.core(self.recent, causal=True, cache=self.cache))

    def embedded(self, values: Shaped[Tensor, "*F S"]) -> Tokens:
        """Returns the next token of each sequence as a column."""
        numbers = [self.prompt.first[sample] + self.num_read for sample in self.samples]
        positions = torch.tensor([self.prompt.position_of(number) for number in numbers]).mT
        positions = positions.to(values.device, non_blocking=True)
        features = Features(values, positions.float(), (1,) * len(numbers))
        return self.prompt.embed(features, self.samples)

    def reorder(self, index: Sequence[int], sharing: int = 1) -> None:
        """Continues with the sequences of these numbers; see `Cache.reorder`."""
        self.cache.reorder(index, sharing)
        if self.recent is not None and [*index] != [*range(len(self.samples))]:
            parts = self.recent.split()
            self.recent = Tokens.pack([parts[number] for number in index])
        self.samples = [self.samples[number] for number in index]


def _last(columns: Tokens) -> Float[Tensor, "D S"]:
    """Returns the last column of each sequence."""
    return columns.rows.index_select(0, columns.offsets[1:] - 1).mT
