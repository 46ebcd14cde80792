"""Command lines in the long notation: the values of options, and class names in their keys."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path

import yaml
from jsonargparse import get_loader

from unitf.cli.argument_types import Keys
from unitf.cli.merging import explicit_keys, merge, node_at, put
from unitf.cli.notation import long_form
from unitf.cli.owners import OWNERS
from unitf.cli.recipe import files_of, read_recipe
from unitf.cli.yaml_values import in_one_line
from unitf.errors import UserError


def long_words(argv: Sequence[str]) -> list[str]:
    """Returns the words of a command line in the long notation, with each `init_args`.

    `--model.tokenizers.text.Words.lowercase true` means the same as
    `--model.tokenizers.text '{Words: {lowercase: true}}'`; where the recipe has this class, it
    means `--model.tokenizers.text.init_args.lowercase true`, and other arguments stay. An option
    within a list becomes one for the whole list.

    Raises:
        UserError: a value may be meant as a class or as a name in a dictionary, or the option names
            an item that a list has not.
    """
    return [word for words, _ in long_options(argv) for word in words]


def long_options(argv: Sequence[str]) -> Iterator[tuple[list[str], Keys]]:
    """Yields the words of each option in the long notation, and its keys as they were typed."""
    merged: dict[str, object] = {}
    files = files_of(list(argv))
    for words, keys, text in options_of(argv):
        option = words[0].partition("=")[0]
        file = next(files, None) if option in ("--config", "-c") else None
        file = Path(text, "config.yaml") if option == "--resume" else file
        if file is not None and file.is_file():
            merge(merged, read_recipe(file))
        elif len(keys) > 1 and keys[0] in OWNERS:
            words = _long(words, keys, text, merged)
            _, put_at, value = next(options_of(words))
            put(merged, put_at, parsed(value))
        yield words, keys


def options_of(argv: Sequence[str]) -> Iterator[tuple[list[str], Keys, str]]:
    """Yields the words of each option, its keys, and its value ("" where there is none).

    A word that is no option has no keys.
    """
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        option, equals, text = word.partition("=")
        keys = tuple(option.removeprefix("--").split("."))
        if not option.startswith("--"):
            value = [rest.pop(0)] if word == "-c" and rest else []
            yield [word, *value], (), ""
        elif equals or not rest or rest[0].startswith("--"):
            yield [word], keys, text
        else:
            yield [word, value := rest.pop(0)], keys, value


def _long(words: list[str], keys: Keys, text: str, merged: dict[str, object]) -> list[str]:
    """Returns the words of an option in the long notation; `merged` is what came before it."""
    explicit, value = explicit_keys(keys, merged), parsed(text)
    in_list = _in_list(explicit, merged)
    if in_list is not None:
        copied = deepcopy(merged)
        item, within = explicit[: len(in_list) + 1], explicit[len(in_list) + 1 :]
        if any(map(_may_be_class, within[:1])):  # a class with all its arguments
            put(copied, item, nested_value(within, value))
        else:
            put(copied, explicit, value)
        explicit, value = in_list, node_at(copied, in_list)
    nested = changed = nested_value(explicit, value)
    if isinstance(value, dict | list) or any(map(_may_be_class, explicit)):
        try:
            changed = long_form(nested)
        except UserError as error:
            raise UserError(f"--{error}") from error
    if changed == nested and in_list is None:
        option, equals, _ = words[0].partition("=")
        option = f"--{'.'.join(explicit)}"
        return [f"{option}={text}"] if equals else [option, *words[1:]]
    prefix: list[str] = []
    at: object = changed
    for key in explicit:
        if not isinstance(at, dict) or key not in at:
            break
        prefix.append(key)
        at = at[key]
    return [f"--{'.'.join(prefix)}={in_one_line(at)}"]


def _in_list(keys: Keys, merged: dict[str, object]) -> Keys | None:
    """Returns the keys of the list that has what some keys lead to; None: there is none."""
    for number in range(1, len(keys)):
        if isinstance(node_at(merged, keys[:number]), list):
            return keys[:number]
    return None


def _may_be_class(key: str) -> bool:
    return key[:1].isupper()


def parsed(text: str) -> object:
    """Returns the value of a text as the parser reads it; a text that is no YAML stays one."""
    try:
        return get_loader("yaml")(text)
    except yaml.YAMLError:
        return text


def nested_value(keys: Sequence[str], value: object) -> dict[str, object]:
    """Returns a dictionary in which one or more keys lead to a value."""
    *groups, last = keys
    nested: dict[str, object] = {last: value}
    for key in reversed(groups):
        nested = {key: nested}
    return nested
