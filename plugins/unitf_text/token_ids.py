"""TokenIds: text that is already ids, for models whose vocabulary is not at hand."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from unitf import Features, UserError
from unitf_text.text import TextTokenizer


class TokenIds(TextTokenizer):
    """One token for each id; a value is a list of ids, or ids as text ("101 2023 102").

    With two segments a value may also be a pair of such lists.

    Args:
        dim: D, the width of a token; the core's configuration gives it.
        vocabulary_size: the number of ids; every id is below it.
        start_id: the id that `add_start` puts first; None: there is none.
        end_id: the id that `add_end` puts last; None: there is none.
        mask_id: the id that replaces a hidden token; None: there is none.
        unknown_id: the id of tokens that the vocabulary lacks; None: there is none.
        options: the options of TextTokenizer.
    """

    def __init__(
        self,
        dim: int,
        vocabulary_size: int,
        start_id: int | None = None,
        end_id: int | None = None,
        mask_id: int | None = None,
        unknown_id: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(dim, **options)
        if vocabulary_size < 1:
            raise UserError(f"vocabulary_size: expected 1 or more, found {vocabulary_size}")
        special = {"start": start_id, "end": end_id, "mask": mask_id, "unknown": unknown_id}
        for name, number in special.items():
            if number is not None and not 0 <= number < vocabulary_size:
                raise UserError(
                    f"{name}_id: expected an id from 0 to {vocabulary_size - 1}, found {number}"
                )
        for name, wanted in (("start", self.add_start), ("end", self.add_end)):
            if wanted and special[name] is None:
                raise UserError(f"add_{name} needs {name}_id")
        self.vocabulary_size = vocabulary_size
        self.start_id, self.end_id = start_id, end_id
        self.mask_id, self.unknown_id = mask_id, unknown_id

    def written(self, value: object) -> str:
        """Returns the ids as text with spaces between them."""
        if isinstance(value, Tensor | np.ndarray):
            value = value.tolist()
        if isinstance(value, list | tuple):
            value = " ".join(str(i) for i in value)
        return super().written(value)

    def segment(self, text: str, train: bool) -> list[int]:
        try:
            ids = [int(word) for word in text.split()]
        except ValueError:
            raise UserError(f"expected ids (whole numbers), found {text[:40]!r}") from None
        size = self.vocabulary_size or 0
        if wrong := [i for i in ids if not 0 <= i < size]:
            raise UserError(f"expected ids from 0 to {size - 1}, found {wrong[0]}")
        return ids

    def segment_spans(self, text: str) -> list[tuple[int, int]]:
        return [word.span() for word in re.finditer(r"\S+", text)]

    def join(self, ids: list[int]) -> str:
        return " ".join(map(str, ids))

    def _parts(self, value: object) -> Sequence[object]:
        pair = isinstance(value, list | tuple) and any(
            isinstance(part, list | tuple | str | Tensor | np.ndarray) for part in value
        )
        return super()._parts(value) if pair else [value]

    def decode(self, features: Features) -> Any:
        """Returns the ids without start, end and mask: a list, or two lists for a pair."""
        text = super().decode(features)
        if isinstance(text, str):
            return [int(word) for word in text.split()]
        return tuple([int(word) for word in part.split()] for part in text)

    @staticmethod
    def examples() -> list[object]:
        """Ids of any vocabulary of at least eight."""
        return [[7, 5, 6], [4], "6 6 7", [7, 6, 5, 4] * 9]
