"""Spellings of the digits 0 to 9, and which of them training must not see."""

import csv
import random
import unicodedata
from collections import defaultdict
from functools import cache
from importlib.resources import files

HELD_OUT = {"test": 0.12, "validation": 0.05}  # shares of each digit's spellings
SHORTEST = 4  # letters of a held-out spelling: changing one of three leaves too little
RELATIVES = 2  # so many of a held-out spelling stay in training
LANGUAGES = {  # those that num2words knows; number_words.tsv has further ones and other spellings
    "am": "Amharic", "ar": "Arabic", "az": "Azerbaijani", "be": "Belarusian", "bn": "Bengali",
    "ca": "Catalan", "ce": "Chechen", "cs": "Czech", "cy": "Welsh", "da": "Danish",
    "de": "German", "en": "English", "eo": "Esperanto", "es": "Spanish", "fa": "Persian",
    "fi": "Finnish", "fr": "French", "he": "Hebrew", "hu": "Hungarian", "id": "Indonesian",
    "is": "Icelandic", "it": "Italian", "ja": "Japanese", "kn": "Kannada", "ko": "Korean",
    "kz": "Kazakh", "lt": "Lithuanian", "lv": "Latvian", "nl": "Dutch", "no": "Norwegian",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak",
    "sl": "Slovene", "sr": "Serbian", "sv": "Swedish", "te": "Telugu", "tet": "Tetum",
    "tg": "Tajik", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese",
}  # fmt: skip


def without_accents(text: str) -> str:
    """As it is typed on a keyboard that has no accents."""
    apart = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(c for c in apart if not "\u0300" <= c <= "\u036f"))


def letters(text: str) -> str:
    """What is left of a text without case, accents, apostrophes and spaces: its identity here."""
    plain = without_accents(unicodedata.normalize("NFKC", text).casefold()).replace("ı", "i")
    return "".join(c for c in plain if c.isalnum() or unicodedata.category(c)[0] == "M")


@cache
def words() -> dict[str, list[list[str]]]:
    """Language → for each digit its spellings."""
    from num2words import num2words

    table: dict[str, list[list[str]]] = defaultdict(lambda: [[] for _ in range(10)])
    for code, language in LANGUAGES.items():
        for digit in range(10):
            table[language][digit].append(num2words(digit, lang=code))
    text = files("unitf_text").joinpath("number_words.tsv").read_text(encoding="utf-8")
    for language, *cells in csv.reader(text.splitlines(), delimiter="\t"):
        for digit, cell in enumerate(cells):
            table[language.split(",")[0]][digit] += [word for word in cell.split("|") if word]
    return dict(table)


@cache
def meanings() -> dict[str, int | None]:
    """The letters of every spelling → the digit that it means; None if it means several."""
    digits: dict[str, set[int]] = defaultdict(set)
    for spellings in words().values():
        for digit, options in enumerate(spellings):
            for word in options:
                digits[letters(word)].add(digit)
    return {key: min(found) if len(found) == 1 else None for key, found in digits.items()}


@cache
def splits() -> dict[str, str]:
    """The letters of every spelling that means one digit → the split that it is for.

    Held out are spellings whose relatives give them away: the `RELATIVES` nearest ones that stay
    in training are within reach (a third of the letters, changed), and no spelling of another
    digit is as near.
    """
    split_of: dict[str, str] = {}
    for digit in range(10):
        keys = sorted(key for key, meaning in meanings().items() if meaning == digit)
        random.Random(digit).shuffle(keys)
        wanted = {split: round(share * len(keys)) for split, share in HELD_OUT.items()}
        for key in keys:
            split = max(wanted, key=lambda split: wanted[split])
            if key in split_of or not wanted[split] or len(key) < SHORTEST:
                continue
            close = [(d, k) for d, k in _within_reach(key) if split_of.get(k, "train") == "train"]
            nearest = close[:RELATIVES]
            if [meanings()[other] for _, other in nearest] != [digit] * RELATIVES:
                continue
            if any(d == nearest[-1][0] and meanings()[k] != digit for d, k in close):
                continue
            split_of[key] = split
            split_of |= {other: "train" for _, other in nearest}  # they are needed there
            wanted[split] -= 1
        split_of |= {key: "train" for key in keys if key not in split_of}
    return split_of


@cache
def _within_reach(key: str) -> list[tuple[int, str]]:
    """The spellings that a third of the letters, changed, makes of this one; nearest first."""
    most, own = len(key) // 3, _which_letters(key)
    close = (
        other
        for length in range(len(key) - most, len(key) + most + 1)
        for other, its in _by_length().get(length, ())
        # an edit adds one letter and removes one: saves measuring nearly all of the distances
        if (own & ~its).bit_count() <= most and (its & ~own).bit_count() <= most and other != key
    )
    distances = [(edits(key, other), other) for other in close]
    return sorted((distance, other) for distance, other in distances if distance <= most)


@cache
def _by_length() -> dict[int, list[tuple[str, int]]]:
    """Length → the spellings of that length, each with its set of letters."""
    table: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for key in meanings():
        table[len(key)].append((key, _which_letters(key)))
    return table


def _which_letters(key: str) -> int:
    """A set as bits; letters that share a bit make two sets look nearer, never farther."""
    bits = 0
    for letter in key:
        bits |= 1 << ord(letter) % 61
    return bits


def edits(first: str, second: str) -> int:
    """Levenshtein's distance: how many letters must be put in, taken out or replaced."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def has_relative(key: str) -> bool:
    """Whether another spelling of the same digit is within reach."""
    return any(meanings()[other] == meanings()[key] for _, other in _within_reach(key))


@cache
def spellings_of(split: str) -> list[list[tuple[str, ...]]]:
    """For each digit the spellings of a split: each a group that differs in accents alone."""
    groups: dict[str, set[str]] = defaultdict(set)
    for options in words().values():
        for word in (word for column in options for word in column):
            groups[letters(word)].add(word.lower())
    return [
        [
            tuple(sorted(groups[key]))
            for key in sorted(splits())
            if splits()[key] == split and meanings()[key] == digit
        ]
        for digit in range(10)
    ]
