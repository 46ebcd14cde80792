"""Overrides of single settings in the dictionaries of a recipe."""

from copy import deepcopy
from typing import Any

import yaml
from jsonargparse import get_loader

from unitf.cli.recipe import files_of, read_recipe
from unitf.errors import UserError


def spell_out(argv: list[str]) -> list[str]:
    """`--….init_args.augment.erase.probability 0.5` as the whole of `augment`, with that in it.

    jsonargparse (4.53) overrides arguments of classes, but not what lies within a dictionary that
    is such an argument.
    """
    words, rest = [], list(argv)
    while rest:
        word = rest.pop(0)
        option, equals, text = word.partition("=")
        key_path, keys = _key_path(option)
        has_value = equals or (rest and not rest[0].startswith("--"))
        settings = _Settings(words, key_path).found if keys and has_value else None
        if settings is None:
            words.append(word)
            continue
        _put(settings, keys, _parsed(option, text if equals else rest.pop(0)), option)
        whole = yaml.safe_dump(
            settings, default_flow_style=True, width=float("inf"), allow_unicode=True
        )
        words.append(f"--{'.'.join(key_path)}={whole.strip()}")
    return words


def _key_path(option: str) -> tuple[list[str], list[str]]:
    """The argument of a class that an option is about, and the keys within it."""
    parts = option.removeprefix("--").split(".")
    if not option.startswith("--") or "init_args" not in parts:
        return [], []
    after = len(parts) - parts[::-1].index("init_args")
    return parts[: after + 1], parts[after + 1 :]


class _Settings:
    """What files and words before have given for an argument of a class, the last one counts.

    `found` is a dictionary; None: it is none, or nobody has named the class.
    """

    def __init__(self, words: list[str], key_path: list[str]) -> None:
        self.key_path = key_path
        self.name: str | None = None  # of the class
        self.value: Any = None
        files = files_of(words)
        for number, word in enumerate(words):
            option, equals, text = word.partition("=")
            if option in ("--config", "-c"):
                self._take(read_recipe(next(files)), key_path)
                continue
            if not option.startswith("--"):
                continue
            parts = option.removeprefix("--").split(".")
            value = text if equals else "".join(words[number + 1 : number + 2])
            if parts == key_path[: len(parts)]:
                self._take(_parsed(option, value), key_path[len(parts) :])
            elif parts == [*key_path[: len(parts) - 1], "class_path"]:
                self._take_name(value)

    @property
    def found(self) -> dict[Any, Any] | None:
        if self.name is None or not isinstance(self.value, dict | None):
            return None
        if self.value is not None and "class_path" in self.value:
            return None
        return deepcopy(self.value or {})

    def _take(self, value: Any, way: list[str]) -> None:
        """Follows the way from something that is given, as far as it goes."""
        while way:
            if way[0] == "init_args":  # of a class
                self._take_name(value.get("class_path") if isinstance(value, dict) else value)
            if not isinstance(value, dict) or way[0] not in value:
                return
            value, way = value[way[0]], way[1:]
        self.value = value

    def _take_name(self, name: Any) -> None:
        if isinstance(name, str):
            last = name.rpartition(".")[2]
            if self.name is not None and last != self.name:
                self.value = None  # another class has other arguments
            self.name = last


def _parsed(option: str, text: str) -> Any:
    try:
        return get_loader("yaml")(text)  # as the parser reads it: 1e-3 is a number
    except yaml.YAMLError as error:
        raise UserError(f"{option}: {text!r} is not YAML: {' '.join(str(error).split())}") from None


def _put(settings: dict[Any, Any], keys: list[str], value: Any, option: str) -> None:
    *groups, last = keys
    for key in groups:
        if settings.get(key) in (None, True, False):  # on or off, with the usual settings
            settings[key] = {}
        settings = settings[key]
        if not isinstance(settings, dict):
            raise UserError(f"{option}: {key} is {settings!r}, which has no settings of its own")
    settings[last] = value
