"""Two small tokenizers, so that a task can be checked without a package that brings a modality."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from unitf.errors import UserError
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Features, Spans

_SPECIAL = ("[unknown]", "[start]", "[end]", "[mask]")


class ToyText(Tokenizer):
    """A text as its characters, which are learned from the training texts."""

    unknown_id = 0
    start_id, end_id, mask_id = 1, 2, 3

    def fit(self, values: Iterable[Any]) -> None:
        self.fitted = {"characters": "".join(sorted({c for value in values for c in str(value)}))}

    @property
    def vocabulary_size(self) -> int | None:
        return len(_SPECIAL) + len(self.fitted["characters"]) if self.fitted else None

    def encode(self, value: Any, train: bool = False) -> Features:
        known = self.fitted["characters"]
        ids = [known.find(character) + len(_SPECIAL) for character in str(value)]
        return Features(torch.tensor([i if i >= len(_SPECIAL) else 0 for i in ids]).long())

    def decode(self, features: Features) -> str:
        ids = [i for i in features.values.tolist() if i >= len(_SPECIAL)]
        return "".join(self.fitted["characters"][i - len(_SPECIAL)] for i in ids)

    def token_names(self) -> list[str]:
        return [*_SPECIAL, *self.fitted["characters"]]

    def spans(self, value: Any) -> Spans:
        first = np.arange(len(str(value)))
        return Spans((str(value),), np.stack([np.zeros_like(first), first, first + 1]))


class ToyNumbers(Tokenizer):
    """A series of numbers, two to a token."""

    num_features = 2

    def encode(self, value: Any, train: bool = False) -> Features:
        numbers = torch.as_tensor(np.asarray(value, dtype=np.float32)).flatten()
        return Features(numbers[: len(numbers) // 2 * 2].reshape(-1, 2).mT)

    def decode(self, features: Features) -> list[float]:
        return features.values.mT.flatten().tolist()


def toy_tokenizer(value: Any) -> type[Tokenizer]:
    """The toy tokenizer that can encode a raw value.

    Raises:
        UserError: the value is neither a text nor an array of numbers.
    """
    if isinstance(value, str):
        return ToyText
    try:
        np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError):
        raise UserError(
            f"found a value of type {type(value).__name__}, expected a text or numbers: give "
            "`tokenizers` for other values"
        ) from None
    return ToyNumbers
