"""The words by which people name splits, in files, folders and cells."""

import re
from collections.abc import Iterable, Mapping

_WORDS: Mapping[str, str] = {
    word: split
    for split, words in {
        "train": "train training trn",
        "validation": "validation validate valid val dev development",
        "test": "test testing tst",
    }.items()
    for word in words.split()
}


def split_of(word: object) -> str | None:
    """Returns the split that a word means; None: it means none."""
    return _WORDS.get(word.strip().lower()) if isinstance(word, str) else None


def split_in(name: str) -> tuple[str | None, str]:
    """Returns the split that one part of a name means, and the name without this part.

    `reviews-train` is ("train", "reviews"), `reviews` is (None, "reviews"). A name in which
    several parts mean splits means none.
    """
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", name) if part]
    found = [part for part in parts if split_of(part)]
    if len(found) != 1:
        return None, name
    return split_of(found[0]), "-".join(part for part in parts if part != found[0])


def by_split(names: Iterable[str]) -> dict[str, str] | None:
    """Returns the name of each split, if all names mean one, each another, and one is for training.

    Args:
        names: names without endings.
    """
    found: dict[str, str] = {}
    for name in names:
        split = split_of(name)
        if split is None or split in found:
            return None
        found[split] = name
    return found if "train" in found and len(found) > 1 else None
