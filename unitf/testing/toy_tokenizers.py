"""Two small tokenizers, so that a task can be checked without the plugin of a modality."""

from collections.abc import Iterable

import numpy as np
import torch

from unitf.errors import UserError
from unitf.features import Features
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Spans

_SPECIAL = ("[unknown]", "[start]", "[end]", "[mask]")


class ToyText(Tokenizer):
    """Makes a token of each character of a text; the alphabet is that of the training texts."""

    unknown_id: int | None = 0
    start_id: int | None = 1
    end_id: int | None = 2
    mask_id: int | None = 3

    def fit(self, values: Iterable[object]) -> None:
        """Finds the characters of the training texts."""
        characters = "".join(sorted({c for value in values for c in str(value)}))
        self.fitted.update(characters=characters)

    @property
    def vocabulary_size(self) -> int | None:
        """The number of characters and special tokens; None before `fit`."""
        return len(_SPECIAL) + len(self.fitted["characters"]) if self.fitted else None

    def encode(self, value: object, train: bool = False) -> Features:
        """Returns the ids of the characters (N,)."""
        known = self.fitted["characters"]
        ids = [known.find(character) + len(_SPECIAL) for character in str(value)]
        return Features(torch.tensor([i if i >= len(_SPECIAL) else 0 for i in ids]).long())

    def decode(self, features: Features) -> str:
        """Returns the text without special tokens."""
        ids = [i for i in features.values.tolist() if i >= len(_SPECIAL)]
        return "".join(self.fitted["characters"][i - len(_SPECIAL)] for i in ids)

    def token_names(self) -> list[str]:
        """Returns the special tokens and the characters, by id."""
        return [*_SPECIAL, *self.fitted["characters"]]

    def spans(self, value: object) -> Spans:
        """Returns one character for each token."""
        first = np.arange(len(str(value)))
        return Spans((str(value),), np.stack([np.zeros_like(first), first, first + 1]))


class ToyNumbers(Tokenizer):
    """Makes a token of each two numbers of an array."""

    num_features: int | None = 2

    def encode(self, value: object, train: bool = False) -> Features:
        """Returns the numbers as 2×N; an odd last number is left out."""
        numbers = torch.as_tensor(np.asarray(value, dtype=np.float32)).flatten()
        return Features(numbers[: len(numbers) // 2 * 2].reshape(-1, 2).mT)

    def decode(self, features: Features) -> list[float]:
        """Returns the numbers in their order."""
        return features.values.mT.flatten().tolist()


def toy_tokenizer(value: object) -> type[Tokenizer]:
    """Returns the toy tokenizer that can encode a raw value.

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
