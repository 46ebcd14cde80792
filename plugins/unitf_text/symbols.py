"""Characters and Bytes: text as characters or bytes."""

import random
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from unitf_text.text import SPECIAL, UNKNOWN_MARK, TextTokenizer, check_probability
from unitf_text.typing_errors import mistype


class Characters(TextTokenizer):
    """One token per character (Unicode code point); the vocabulary comes from training texts.

    Args:
        dim: D, the width of a token; the core's configuration gives it.
        min_count: how often a character must occur to be known.
        noise: the probability that a character is mistyped in training.
        options: the options of TextTokenizer.
    """

    unknown_id: int = 0
    start_id, end_id, mask_id = 1, 2, 3

    def __init__(self, dim: int, min_count: int = 1, noise: float = 0.0, **options: Any) -> None:
        super().__init__(dim, **options)
        check_probability("noise", noise)
        self.min_count = min_count
        self.noise = noise

    def fit(self, values: Iterable[object]) -> None:
        counts = Counter()
        for text in self.readable(values):
            counts.update(text)
        known = sorted(c for c, count in counts.items() if count >= self.min_count)
        self.fitted = {"characters": "".join(known)}

    @property
    def vocabulary_size(self) -> int | None:
        """V, the number of ids; None before `fit`."""
        return 4 + len(self.fitted["characters"]) if self.fitted else None

    def token_names(self) -> list[str]:
        return [*SPECIAL, *self.fitted["characters"]]

    def segment(self, text: str, train: bool) -> list[int]:
        if train and self.noise:
            text = mistype(text, self.noise, random)
        ids = _ids_of(self.fitted["characters"])
        return [ids.get(character, self.unknown_id) for character in text]

    def segment_spans(self, text: str) -> list[tuple[int, int]]:
        return [(index, index + 1) for index in range(len(text))]

    def join(self, ids: list[int]) -> str:
        known = self.fitted["characters"]
        return "".join(UNKNOWN_MARK if i == self.unknown_id else known[i - 4] for i in ids)


class Bytes(TextTokenizer):
    """One token per byte of UTF-8: nothing to learn, nothing unknown (as ByT5: Xue et al., 2022).

    A byte is its own id; start, end and mask are 256, 257 and 258. Dropped tokens become the mask.

    Args:
        dim: D, the width of a token; the core's configuration gives it.
        noise: the probability that a character is mistyped in training.
        options: the options of TextTokenizer.
    """

    vocabulary_size = 259
    start_id, end_id, mask_id = 256, 257, 258

    def __init__(self, dim: int, noise: float = 0.0, **options: Any) -> None:
        super().__init__(dim, **options)
        check_probability("noise", noise)
        self.noise = noise

    def token_names(self) -> list[str]:
        printed = [chr(i) if 32 <= i < 127 else f"0x{i:02x}" for i in range(256)]
        return [*printed, *SPECIAL[1:]]

    def segment(self, text: str, train: bool) -> list[int]:
        if train and self.noise:
            text = mistype(text, self.noise, random)
        return list(text.encode())

    def segment_spans(self, text: str) -> list[tuple[int, int]]:
        return [(n, n + 1) for n, character in enumerate(text) for _ in character.encode()]

    def join(self, ids: list[int]) -> str:
        # a model can generate a part of a character
        return bytes(ids).decode(errors="replace")


@lru_cache
def _ids_of(characters: str) -> dict[str, int]:
    return {character: 4 + index for index, character in enumerate(characters)}
