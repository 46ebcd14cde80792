"""TextTokenizer: what all tokenizers of text share."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import torch

from unitf.errors import UserError
from unitf.tokenizer import Positions, Tokenizer
from unitf.tokens import Features

UNKNOWN_MARK = "\N{REPLACEMENT CHARACTER}"  # what an unknown token reads as


def read_text(value: Any) -> str:
    """A raw value as text that is not empty.

    Raises:
        UserError: it is no text (NaN is what pandas puts in an empty cell), empty, or not Unicode.
    """
    if isinstance(value, bytes | bytearray):
        try:
            value = bytes(value).decode()
        except UnicodeDecodeError as error:
            raise UserError(
                f"expected UTF-8 text, found byte {error.object[error.start]:#04x} "
                f"at place {error.start}"
            ) from None
    if not isinstance(value, str):
        shown = repr(value)
        raise UserError(
            f"expected text, found {type(value).__name__} {shown[:40]}{'…' * (len(shown) > 40)}"
        )
    if not value:
        raise UserError("empty text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"expected Unicode text, found half of a surrogate pair at place {error.start}"
        ) from None
    return value


class TextTokenizer(Tokenizer):
    """Text as ids (N,); a subclass writes `segment` and `join`.

    A value is a `str`, or `bytes` in UTF-8; None is a sample that lacks the text, but an empty
    text is an error, since it has no token to read anything from.

    Args:
        dim: D, the width of a token; the core's configuration gives it.
        lowercase: before anything else.
        max_tokens: the longest sequence, added tokens included.
        truncate: cut what is longer (else it is an error that names the sample).
        add_start: put the start token first (not for `NextToken`, which does it itself).
        add_end: put the end token last, so that a language model learns where to stop.
        token_dropout: share of tokens that are made unknown in training (word dropout: Iyyer et
            al., 2015); for tasks that read a text, not for those that predict its tokens.
        positions: what is added to a token for where it stands.
    """

    unknown_id: int | None = None

    def __init__(
        self,
        dim: int,
        lowercase: bool = False,
        max_tokens: int | None = None,
        truncate: bool = False,
        add_start: bool = False,
        add_end: bool = False,
        token_dropout: float = 0.0,
        positions: Positions = "sinusoidal",
    ) -> None:
        super().__init__(dim, positions, max_tokens)
        check_share("token_dropout", token_dropout)
        if truncate and max_tokens is None:
            raise UserError("truncate needs max_tokens, the length to cut to")
        if max_tokens is not None and max_tokens <= add_start + add_end:
            raise UserError(f"max_tokens {max_tokens} leaves no room for text")
        self.lowercase = lowercase
        self.truncate = truncate
        self.add_start = add_start
        self.add_end = add_end
        self.token_dropout = token_dropout

    @abstractmethod
    def segment(self, text: str, train: bool) -> list[int]:
        """The ids of a text, without added tokens."""

    @abstractmethod
    def join(self, ids: list[int]) -> str:
        """The text of ids, among which there is no start, end or mask."""

    def read(self, value: Any) -> str:
        """A raw value as the text that is segmented."""
        text = read_text(value)
        return text.lower() if self.lowercase else text

    def readable(self, values: Iterable[Any]) -> list[str]:
        """The texts among training values; the others are reported when they are encoded."""
        texts = []
        for value in values:
            try:
                texts.append(self.read(value))
            except UserError:
                continue
        if not texts:
            raise UserError(f"{type(self).__name__}: no text in the training data to learn from")
        return texts

    def encode(self, value: Any, train: bool = False) -> Features:
        if self.vocabulary_size is None:
            raise UserError(f"{type(self).__name__}: fit() comes before encode()")
        ids = self.segment(self.read(value), train)
        if not ids:
            raise UserError(f"text without a token: {str(value)[:40]!r}")
        ids = self._limit(ids)
        if train and self.token_dropout:
            blank = self.mask_id if self.unknown_id is None else self.unknown_id
            drop = torch.rand(len(ids)) < self.token_dropout
            ids = [blank if gone else i for i, gone in zip(ids, drop.tolist(), strict=True)]
        first = [self.start_id] if self.add_start else []
        last = [self.end_id] if self.add_end else []
        return Features(torch.tensor([*first, *ids, *last], dtype=torch.int64))

    def _limit(self, ids: list[int]) -> list[int]:
        if self.max_tokens is None:
            return ids
        room = self.max_tokens - self.add_start - self.add_end
        if len(ids) > room and not self.truncate:
            raise UserError(
                f"text of {len(ids)} tokens, expected at most {room} "
                "(raise max_tokens, or set truncate)"
            )
        return ids[:room]

    def decode(self, features: Features) -> str:
        added = {self.start_id, self.end_id, self.mask_id} - {None}
        return self.join([i for i in features.values.tolist() if i not in added])

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


def check_share(name: str, share: float) -> None:
    """Raises UserError unless `share` is at least 0 and less than 1."""
    if not 0 <= share < 1:
        raise UserError(f"{name} must be at least 0 and less than 1, found {share}")
