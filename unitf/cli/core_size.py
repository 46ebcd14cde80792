"""A size of the core that stands after its numbers replaces them, as any later word does."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from unitf.cli.long_words import options_of, parsed
from unitf.cli.recipe import files_of, read_recipe

_CORE = ("model", "core")
NUMBERS: tuple[str, ...] = ("dim", "depth", "num_heads")  # that a size stands for
_OTHERS = ("head_dim", "hidden_dim", "num_kv_heads", "decoder_depth")  # which it does not change


def with_sizes(argv: list[str]) -> list[str]:
    """Returns a command line in which a later `model.core.size` takes back earlier numbers.

    A line on stderr says which. Numbers that stand beside the size or after it count, as before.

    Args:
        argv: the words in the long notation.
    """
    words: list[str] = []
    known: dict[str, object] = {}  # what is given of the core so far
    for option, place, core in _cores(argv):
        taken = [] if core.get("size") is None else [n for n in NUMBERS if known.get(n) is not None]
        if taken:
            _say(place, {name: known[name] for name in taken}, core, known)
            words += [f"--{'.'.join(_CORE)}.{name}=null" for name in taken]
            known.update(dict.fromkeys(taken))
        known.update(core)
        words += option
    return words


def _say(
    place: str, taken: Mapping[str, object], core: Mapping[str, object], known: Mapping[str, object]
) -> None:
    numbers = ", ".join(f"{name} {value}" for name, value in taken.items())
    kept = [f"{name} {known[name]}" for name in _OTHERS if known.get(name) is not None]
    rest = f"; {', '.join(kept)} as given" if kept else ""
    sys.stderr.write(f"unitf: {place}: the size {core['size']} replaces {numbers}{rest}\n")


def _cores(argv: list[str]) -> Iterator[tuple[list[str], str, dict[str, object]]]:
    """Yields the words of each option, where it stands, and what it gives of the core."""
    files = files_of(argv)
    for words, keys, text in options_of(argv):
        option = words[0].partition("=")[0]
        file = next(files, None) if option in ("--config", "-c") else None
        if file is not None:
            yield words, file.name, _core_of(file)
        elif keys == _CORE:
            value = parsed(text)
            yield words, option, dict(value) if isinstance(value, dict) else {}
        elif keys[:2] == _CORE and len(keys) == 3:
            yield words, option, {keys[2]: parsed(text)}
        else:
            yield words, option, {}


def _core_of(file: Path) -> dict[str, object]:
    """Returns what a recipe gives of the core."""
    value: object = read_recipe(file)
    for key in _CORE:
        value = value.get(key) if isinstance(value, dict) else None
    return dict(value) if isinstance(value, dict) else {}
