"""What a person gave: recipes, and the options of a command line."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from unitf.cli.argument_types import Keys
from unitf.cli.long_words import long_options, options_of, parsed
from unitf.cli.merging import merge, node_at, put
from unitf.cli.notation import as_written
from unitf.cli.recipe import files_of, load_recipe, read_recipe


@dataclass
class RecipeInputs:
    """What a person gave: the recipes, and the options of the command line.

    Args:
        files: the recipes in the long notation, in their order.
        options: the value of each option by its keys in the long notation.
        typed: the keys as they were typed, where they are others.
    """

    files: list[tuple[Path, dict[str, object]]] = field(default_factory=list)
    options: dict[Keys, object] = field(default_factory=dict)
    typed: dict[Keys, Keys] = field(default_factory=dict)

    @cached_property
    def merged(self) -> dict[str, object]:
        """One recipe of all; the last value of a key counts."""
        merged = _merged(self.files)
        for keys, value in self.options.items():
            put(merged, keys, value)
        return merged

    def source(self, keys: Keys) -> str:
        """Returns how a message names a key: with its file, or as an option."""
        for option in self.options:
            if option == keys[: len(option)]:
                typed, within = self.typed.get(option, option), keys[len(option) :]
                within = within if typed[-1:] != within[-1:] else ()  # of an item of a list
                return f"--{'.'.join((*typed, *within))}"
        key = ".".join(self.written(keys))
        file = self.file_of(keys)
        return key if file is None else f"{file}: {key}"

    def written(self, keys: Keys) -> Keys:
        """Returns keys in the notation of the file that has them."""
        file = self.file_of(keys)
        return keys if file is None else as_written(load_recipe(file), keys)

    def file_of(self, keys: Keys) -> Path | None:
        """Returns the file that has the most of some keys; None: no file has any of them."""
        depth = [(_depth(recipe, keys), n) for n, (_, recipe) in enumerate(self.files)]
        return self.files[max(depth)[1]][0] if depth and max(depth)[0] else None


def given_inputs(words: Sequence[str], argv: Sequence[str]) -> RecipeInputs:
    """Returns what a person gave.

    Args:
        words: the command line as the parser got it.
        argv: the command line as it was typed.
    """
    given = RecipeInputs([(file, read_recipe(file)) for file in files_of(list(words))])
    for long, typed in long_options(argv):
        _, keys, text = next(options_of(long))
        if keys and keys[0] not in ("config", "resume"):
            given.options[keys] = parsed(text)
            given.typed[keys] = typed
    return given


def _merged(files: Sequence[tuple[Path, dict[str, object]]]) -> dict[str, object]:
    merged: dict[str, object] = {}
    for _, recipe in files:
        merge(merged, copy.deepcopy(recipe))
    return merged


def _depth(recipe: object, keys: Keys) -> int:
    """Returns how many of the keys a recipe has, one within the other."""
    for number in range(len(keys), 0, -1):
        parent = node_at(recipe, keys[: number - 1])
        if (isinstance(parent, dict) and keys[number - 1] in parent) or isinstance(parent, list):
            return number
    return 0
