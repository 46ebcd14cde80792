"""Typing errors: what fingers do to text."""

import random
from types import ModuleType

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def _neighbours() -> dict[str, str]:
    """The keys that touch a key, on a QWERTY keyboard (row r is shifted by about half a key)."""
    positions = {key: (r, c + r / 2) for r, row in enumerate(_ROWS) for c, key in enumerate(row)}
    return {
        key: "".join(
            other
            for other, (r2, c2) in positions.items()
            if other != key and abs(r - r2) <= 1 and abs(c - c2) <= 1
        )
        for key, (r, c) in positions.items()
    }


_NEIGHBOURS = _neighbours()


def mistype(text: str, probability: float, rng: random.Random | ModuleType) -> str:
    """Returns `text` with some of its characters swapped, doubled, dropped or mistaken.

    A mistaken letter becomes a neighbour on a QWERTY keyboard; the result is never empty.

    Args:
        text: the text without errors.
        probability: the probability of an error at each character.
        rng: a `random.Random`, or the module `random`.
    """
    typed: list[str] = []
    index = 0
    while index < len(text):
        character = text[index]
        index += 1
        if rng.random() >= probability:
            typed.append(character)
            continue
        error = rng.choice(("swap", "double", "drop", "neighbour"))
        if error == "swap" and index < len(text):
            typed += text[index], character
            index += 1
        elif error == "double":
            typed += character, character
        elif error == "neighbour":
            close = _NEIGHBOURS.get(character.lower())
            wrong = rng.choice(close) if close else character
            typed.append(wrong.upper() if character.isupper() else wrong)
        elif error == "swap":
            typed.append(character)
    return "".join(typed) or text
