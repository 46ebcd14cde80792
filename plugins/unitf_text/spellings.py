"""Spellings of the digits 0 to 9, and which of them training must not see."""

import csv
import random
import unicodedata
from collections import defaultdict
from functools import cache
from importlib.resources import files

HELD_OUT = {"test": 0.12, "validation": 0.05}  # fractions of each digit's spellings
SHORTEST = 4  # letters of a held-out spelling: with one of three changed too little is left
RELATIVES = 2  # how many relatives of a held-out spelling stay in training
LANGUAGES = {  # the languages of num2words; number_words.tsv adds languages and spellings
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
    """Returns the text as it is typed on a keyboard without accents."""
    apart = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(c for c in apart if not "\u0300" <= c <= "\u036f"))


def letters(text: str) -> str:
    """Returns a text without case, accents, apostrophes and spaces: the key of a spelling."""
    plain = without_accents(unicodedata.normalize("NFKC", text).casefold()).replace("ı", "i")
    return "".join(c for c in plain if c.isalnum() or unicodedata.category(c)[0] == "M")


@cache
def words() -> dict[str, list[list[str]]]:
    """Returns for each language the spellings of each digit."""
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
    """Returns the digit of every key of a spelling; None if it means several digits."""
    digits: dict[str, set[int]] = defaultdict(set)
    for spellings in words().values():
        for digit, options in enumerate(spellings):
            for word in options:
                digits[letters(word)].add(digit)
    return {key: min(meant) if len(meant) == 1 else None for key, meant in digits.items()}


@cache
def splits() -> dict[str, str]:
    """Returns the split of every key that means one digit.

    A spelling is held out only if its relatives identify it: the `RELATIVES` nearest spellings
    that stay in training are within reach (at most a third of the letters is changed), and no
    spelling of another digit is as near.
    """
    split_of: dict[str, str] = {}
    for digit in range(10):
        keys = sorted(key for key, meaning in meanings().items() if meaning == digit)
        random.Random(digit).shuffle(keys)
        wanted = {split: round(fraction * len(keys)) for split, fraction in HELD_OUT.items()}
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
            split_of |= {other: "train" for _, other in nearest}  # relatives of a held-out spelling
            wanted[split] -= 1
        split_of |= {key: "train" for key in keys if key not in split_of}
    return split_of


@cache
def _within_reach(key: str) -> list[tuple[int, str]]:
    """Returns distance and key of spellings that differ in at most a third of the letters.

    The nearest ones come first.
    """
    most, letters_of_key = len(key) // 3, _which_letters(key)
    close = (
        other
        for length in range(len(key) - most, len(key) + most + 1)
        for other, its in _by_length().get(length, ())
        # an edit adds one letter and removes one; this test avoids nearly all of the distances
        if (letters_of_key & ~its).bit_count() <= most
        and (its & ~letters_of_key).bit_count() <= most
        and other != key
    )
    distances = [(edits(key, other), other) for other in close]
    return sorted((distance, other) for distance, other in distances if distance <= most)


@cache
def _by_length() -> dict[int, list[tuple[str, int]]]:
    """Returns for each length its spellings, each with its set of letters."""
    table: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for key in meanings():
        table[len(key)].append((key, _which_letters(key)))
    return table


def _which_letters(key: str) -> int:
    """Returns the set of letters as bits; letters with the same bit only reduce a distance."""
    bits = 0
    for letter in key:
        bits |= 1 << ord(letter) % 61
    return bits


def edits(first: str, second: str) -> int:
    """Returns the Levenshtein distance: insertions, deletions and replacements of letters."""
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
    """Returns for each digit the spellings of a split, in groups that differ in accents alone."""
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
