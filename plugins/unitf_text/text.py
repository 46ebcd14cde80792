"""TextTokenizer: what all tokenizers of text share."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch.nn import functional

from unitf import Features, Spans, Tokenizer, UserError
from unitf_text.reading import read_text

SPECIAL = ["[UNK]", "[START]", "[END]", "[MASK]"]  # the names of tokens that are no text
Part = TypeVar("Part")
SPACE = "\N{OPEN BOX}"  # the name of a space token
UNKNOWN_MARK = "\N{REPLACEMENT CHARACTER}"  # the text of an unknown token


class TextTokenizer(Tokenizer):
    """Text as ids (N,); a subclass writes `segment` and `join`.

    A value is a `str`, or `bytes` in UTF-8. None means that a sample has no text. An empty text is
    an error, because it has no token. With two segments, or with
    `pair_separators`, a value may also be a pair of texts (a list or tuple), which become one
    sequence: start a end b end.

    Args:
        dim: D, the width of a token; the core's configuration gives it.
        lowercase: whether the text is lower-cased first.
        max_tokens: the longest sequence, added tokens included.
        truncate: whether a longer text is cut; if not, it is an error that names the sample.
        add_start: whether the start token comes first (with `NextToken` only if that has
            `start: false`, because it otherwise adds a start of its own).
        add_end: whether the end token comes last, so that a language model learns where to stop.
        token_dropout: the probability that a token is replaced by the unknown token in training
            (word dropout: Iyyer et al., 2015); for tasks that read a text, not for tasks that
            predict its tokens.
        num_segments: 0, or how many segments a second position axis tells apart (the token types
            of BERT: 2; of RoBERTa: 1). `position_embedding: additive` gives each a learned vector.
        padding_id: this id fills every text up to `max_tokens`, for a model that was trained on
            filled texts (SigLIP); None: texts keep their length.
        pair_separators: how many end tokens stand between the texts of a pair (RoBERTa: 2); 0: a
            value is one text; None: 1 where there are two segments, else 0.
        words: whether a value may be a list of words, which are joined with spaces.
        options: the options of Tokenizer.
    """

    def __init__(
        self,
        dim: int,
        lowercase: bool = False,
        max_tokens: int | None = None,
        truncate: bool = False,
        add_start: bool = False,
        add_end: bool = False,
        token_dropout: float = 0.0,
        num_segments: int = 0,
        padding_id: int | None = None,
        pair_separators: int | None = None,
        words: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(dim, max_tokens=max_tokens, **options)
        check_probability("token_dropout", token_dropout)
        if padding_id is not None and (max_tokens is None or num_segments):
            raise UserError("padding_id needs max_tokens, the length to fill, and no segments")
        if num_segments < 0:
            raise UserError(f"num_segments: expected 0 or more, found {num_segments}")
        if pair_separators is None:
            pair_separators = int(num_segments > 1)
        if words and pair_separators:
            raise UserError("words: a list is either words or a pair of texts (pair_separators: 0)")
        if pair_separators > 1 and not add_end:
            raise UserError(f"pair_separators {pair_separators} needs add_end")
        if truncate and max_tokens is None:
            raise UserError("truncate needs max_tokens, the length to cut to")
        if max_tokens is not None and max_tokens <= add_start + add_end:
            raise UserError(f"max_tokens {max_tokens} leaves no room for text")
        self.lowercase = lowercase
        self.truncate = truncate
        self.add_start = add_start
        self.add_end = add_end
        self.token_dropout = token_dropout
        self.num_segments = num_segments
        self.padding_id = padding_id
        self.pair_separators = pair_separators
        self.words = words
        self.num_axes = 1 + (num_segments > 0)

    @property
    def position_shape(self) -> tuple[int, ...] | None:
        if self.num_positions is None:
            return None
        rows = self.num_positions
        return (rows, self.num_segments) if self.num_segments else (rows,)

    def position_of(self, number: int) -> Sequence[float]:
        """The position of token `number`: its index, in the first segment."""
        return (float(number), 0.0)[: self.num_axes]

    @abstractmethod
    def segment(self, text: str, train: bool) -> list[int]:
        """Returns the ids of a text, without added tokens."""

    def segment_spans(self, text: str) -> list[tuple[int, int]]:
        """Returns for each id of a text the offsets of its first character and of its end."""
        raise UserError(f"{type(self).__name__} does not know what its tokens stand for in a text")

    @abstractmethod
    def join(self, ids: list[int]) -> str:
        """Returns the text of ids; there is no start, end or mask among them."""

    def written(self, value: object) -> str:
        """Returns a raw value as text."""
        return read_text(value)

    def read(self, value: object) -> str:
        """Returns the text that is segmented; lower-casing keeps the offset of every character."""
        text = self.written(value)
        if not self.lowercase:
            return text
        lower = text.lower()
        if len(lower) == len(text):
            return lower
        return "".join(low if len(low := c.lower()) == 1 else c for c in text)

    def readable(self, values: Iterable[object]) -> list[str]:
        """Returns the readable training texts; `encode` reports the others."""
        texts = []
        for value in values:
            try:
                texts += [self.read(part) for part in self._parts(value)]
            except UserError:
                continue
        if not texts:
            raise UserError(f"{type(self).__name__}: no text in the training data to learn from")
        return texts

    def encode(self, value: object, train: bool = False) -> Features:
        if self.vocabulary_size is None:
            raise UserError(f"{type(self).__name__}: fit() comes before encode()")
        parts = [self._segment(part, train) for part in self._parts(value)]
        parts = [self._drop(ids) if train else ids for ids in self._limit(parts)]
        parts = self._framed(parts, self.start_id, self.end_id)
        ids = torch.tensor([i for part in parts for i in part], dtype=torch.int64)
        if self.padding_id is not None and self.max_tokens is not None:
            ids = functional.pad(ids, (0, self.max_tokens - len(ids)), value=self.padding_id)
        if not self.num_segments:
            return Features(ids)
        last = self.num_segments - 1  # RoBERTa has one segment for both texts
        segments = [min(number, last) for number, part in enumerate(parts) for _ in part]
        positions = torch.stack([torch.arange(len(ids)), torch.tensor(segments)])
        return Features(ids, positions.float())

    def spans(self, value: object) -> Spans:
        raw = self._parts(value)
        parts = [
            [(number, *span) for span in self.segment_spans(self.read(part))]
            for number, part in enumerate(raw)
        ]
        none = (-1, -1, -1)
        parts = self._framed(self._limit(parts), none, none)
        spans = [span for part in parts for span in part]
        if self.padding_id is not None and self.max_tokens is not None:
            spans += [none] * (self.max_tokens - len(spans))
        return Spans(tuple(map(self.written, raw)), np.array(spans).reshape(-1, 3).T)

    def names(self, features: Features) -> list[str]:
        added = {self.unknown_id, self.start_id, self.end_id, self.mask_id, self.padding_id}
        called = self.token_names()
        names, ids = [], [int(i) for i in features.values]
        for i in ids:
            text = called[i] if i in added else self.join([i])
            names.append(text.strip() or called[i].strip() or SPACE)
        return names

    def _framed(self, parts: Sequence[list[Any]], start: Any, end: Any) -> list[list[Any]]:
        """Returns the parts with the start, end and separator tokens added."""
        framed = [[*part, end] if self.add_end else [*part] for part in parts]
        framed[0] = [start] * self.add_start + framed[0] + self._extra(parts) * [end]
        return framed

    def _extra(self, parts: Sequence[list[Any]]) -> int:
        """The number of end tokens between two texts, beyond the one that ends the first text."""
        return max(0, self.pair_separators - 1) if len(parts) > 1 else 0

    def _parts(self, value: object) -> Sequence[object]:
        """Returns the texts of a value: one, or two for a pair."""
        if self.words and isinstance(value, list | tuple):
            return [" ".join(map(read_text, value))]
        if not isinstance(value, list | tuple) or not self.pair_separators:
            return [value]
        if len(value) != 2:
            raise UserError(f"expected a text or a pair of texts, found {len(value)} of them")
        return value

    def _segment(self, value: object, train: bool) -> list[int]:
        """Returns the ids of one text; there is at least one."""
        ids = self.segment(self.read(value), train)
        if not ids:
            raise UserError(f"text without a token: {str(value)[:40]!r}")
        return ids

    def _drop(self, ids: list[int]) -> list[int]:
        """Replaces some ids by the unknown token."""
        if not self.token_dropout:
            return ids
        blank = self.mask_id if self.unknown_id is None else self.unknown_id
        if blank is None:
            raise UserError("token_dropout: this tokenizer has neither an unknown nor a mask token")
        drop = torch.rand(len(ids)) < self.token_dropout
        return [blank if gone else i for i, gone in zip(ids, drop.tolist(), strict=True)]

    def _limit(self, parts: list[list[Part]]) -> list[list[Part]]:
        """Cuts texts to `max_tokens` tokens in all; of two texts the longer is cut first."""
        if self.max_tokens is None:
            return parts
        room = self.max_tokens - self.add_start - self.add_end * len(parts) - self._extra(parts)
        count = sum(map(len, parts))
        if count <= room:
            return parts
        if not self.truncate:
            raise UserError(
                f"text of {count} tokens, expected at most {room} "
                "(raise max_tokens, or set truncate)"
            )
        if len(parts) == 1:
            return [parts[0][:room]]
        if room < 2:
            raise UserError(f"max_tokens {self.max_tokens} leaves no room for a pair of texts")
        one, two = parts
        shorter = min(len(one), len(two), room // 2)
        longer = room - shorter
        if len(one) > len(two):
            return [one[:longer], two[:shorter]]
        return [one[:shorter], two[:longer]]

    def decode(self, features: Features) -> str | tuple[str, str]:
        """Returns the text, or the pair of texts."""
        ids = features.values.tolist()
        first = len(ids)
        if self.num_segments > 1:
            if len(features.positions) > 1:
                first = int((features.positions[1] < 1).sum())
        elif self.pair_separators and self.end_id in ids:
            first = ids.index(self.end_id) + 1
        text, rest = self._join(ids[:first]), ids[first:]
        return (text, self._join(rest)) if rest else text

    def _join(self, ids: list[int]) -> str:
        added = {self.start_id, self.end_id, self.mask_id, self.padding_id} - {None}
        return self.join([i for i in ids if i not in added])

    @staticmethod
    def examples() -> list[str | bytes]:
        """Raw values of this modality, small and varied."""
        return [
            "the quick brown fox jumps over the lazy dog",
            "a",
            "It's 9 o'clock, isn't it?",
            "naïve café, Ærøskøbing\nsecond line",
            "日本語とเลข ๙ 🙂",
            b"bytes in UTF-8: \xc3\xa9",
            "the lazy dog sleeps " * 8,
        ]


def check_probability(name: str, probability: float) -> None:
    """Raises UserError unless `probability` is at least 0 and less than 1."""
    if not 0 <= probability < 1:
        raise UserError(f"{name} must be at least 0 and less than 1, found {probability}")
