"""NumberWords: the digits 0 to 9 written in the languages of the world, in any case, mistyped."""

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from unitf import Sample, Source, UserError
from unitf_text.spellings import (
    SHORTEST,
    has_relative,
    letters,
    meanings,
    spellings_of,
    splits,
    without_accents,
)
from unitf_text.typing_errors import mistype

SIZES = {"train": 5000, "validation": 500, "test": 1000}


class NumberWords(Source):
    """The digits 0 to 9 in words of about 160 languages: "seven", "Sieben", "семь", "SEITSMÄN".

    Some spellings are held out from training. Two spellings that differ only in case, accents,
    apostrophes or spaces count as one ("fünf" = "FUNF"). A spelling that means two digits
    somewhere on earth ("ba": 3 in Vietnamese, 8 in Chinese) is left out altogether. Of each digit's
    spellings up to 12% are for test and 5% for validation. They are fixed, and were chosen by
    chance among spellings of at least four letters that their relatives identify: two spellings of
    the same digit, in any language, stay in training that become this one by changing at most a
    third of its letters, and no spelling of another digit in training is as near ("siedym" is held
    out; "siedem" and "sedem" stay). So the test measures whether a model recognises a word by its
    relatives. For this reason training draws a spelling without relatives ("egy", 1 in
    Hungarian) a quarter as often.

    Every sample of every split then gets a random case and random typing errors. No training
    sample has the letters of a held-out spelling. No test or validation sample has the letters of
    a training sample or of a training spelling.

    Args:
        column: the name of the column with the text.
        target: the name of the column with the digit (a whole number).
        sizes: number of samples of each split (train, validation, test).
        noise: the probability of a typing error at each letter of a word of at least four.
        seed: another seed gives other samples; the held-out spellings are always the same.
    """

    def __init__(
        self,
        column: str = "text",
        target: str = "digit",
        sizes: dict[str, int] | None = None,
        noise: float = 0.03,
        seed: int = 0,
    ) -> None:
        self.column = column
        self.target = target
        self.sizes = SIZES if sizes is None else sizes
        if unknown := sorted(set(self.sizes) - set(SIZES)):
            raise UserError(
                f"NumberWords(sizes): no split {unknown[0]!r}, expected {', '.join(SIZES)}"
            )
        if not 0 <= noise < 1:
            raise UserError(f"NumberWords(noise): expected 0 to 1, found {noise}")
        self.noise = noise
        self.seed = seed

    def splits(self) -> list[str]:
        return [split for split in SIZES if self.sizes.get(split)]

    def read(self, split: str, root: Path) -> Sequence[Sample]:
        if split not in self.splits():
            return []
        texts = self._write("train", {key for key, part in splits().items() if part != "train"})
        if split != "train":
            seen = set(map(letters, texts)) | {k for k, part in splits().items() if part == "train"}
            texts = self._write(split, seen)
        return [{self.column: text, self.target: index % 10} for index, text in enumerate(texts)]

    def _write(self, split: str, forbidden: set[str]) -> list[str]:
        """Returns the texts of a split; each depends on seed, split, index and `forbidden`."""
        return [
            self._write_one(split, index, forbidden) for index in range(self.sizes.get(split, 0))
        ]

    def _write_one(self, split: str, index: int, forbidden: set[str]) -> str:
        rng = random.Random(f"{self.seed} {split} {index}")
        digit = index % 10
        while True:  # a typing error can make another word
            text = self._type(*_chances(split)[digit], rng)
            key = letters(text)
            if key not in forbidden and meanings().get(key, digit) == digit:
                return text

    def _type(
        self, spellings: list[tuple[str, ...]], chances: list[float], rng: random.Random
    ) -> str:
        text = rng.choice(rng.choices(spellings, chances)[0])
        if rng.random() < 0.25:
            text = without_accents(text)
        if len(text) >= SHORTEST:
            text = mistype(text, self.noise, rng)
        case = rng.choices(("lower", "title", "upper", "any"), (4, 3, 2, 1))[0]
        if case == "any":
            return "".join(rng.choice((c.lower(), c.upper())) for c in text)
        return getattr(text, case)()


@cache
def _chances(split: str) -> list[tuple[list[tuple[str, ...]], list[float]]]:
    """Returns for each digit the spellings of a split and their weights in the draw."""
    return [
        (groups, [1.0 if has_relative(letters(group[0])) else 0.25 for group in groups])
        for groups in spellings_of(split)
    ]
