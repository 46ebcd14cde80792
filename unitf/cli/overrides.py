"""Overrides of single settings in the dictionaries of a recipe."""

import json
from copy import deepcopy
from typing import Any

import yaml

from unitf.cli.recipe import told
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
        place, keys = _place(option)
        settings = _settings(words, place) if keys else None
        if settings is None or not (equals or rest):
            words.append(word)
            continue
        _put(settings, keys, _value(option, text if equals else rest.pop(0)), option)
        words.append(f"--{place}={json.dumps(settings, ensure_ascii=False)}")
    return words


def _place(option: str) -> tuple[str, list[str]]:
    """The argument of a class that an option is about, and the keys within it."""
    parts = option.removeprefix("--").split(".")
    if not option.startswith("--") or "init_args" not in parts:
        return "", []
    after = len(parts) - parts[::-1].index("init_args")
    return ".".join(parts[: after + 1]), parts[after + 1 :]


def _settings(before: list[str], place: str) -> dict[str, Any] | None:
    """The dictionary that the words before have given for an argument; None: they gave none."""
    found = told(before, place)
    if isinstance(found, str):  # of the command line
        found = yaml.safe_load(found)
    if not isinstance(found, dict) or "class_path" in found:
        return None
    return deepcopy(found)


def _value(option: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{option}: {text!r} is not YAML: {' '.join(str(error).split())}") from None


def _put(settings: dict[str, Any], keys: list[str], value: Any, option: str) -> None:
    *groups, last = keys
    for key in groups:
        if settings.get(key) in (None, True, False):  # on or off, with the usual settings
            settings[key] = {}
        settings = settings[key]
        if not isinstance(settings, dict):
            raise UserError(f"{option}: {key} is {settings!r}, which has no settings of its own")
    settings[last] = value
