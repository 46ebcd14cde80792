"""Command lines in the long notation: the values of options, and class names in their keys."""

from collections.abc import Iterator, Sequence

import yaml
from jsonargparse import get_loader

from unitf.cli.argument_types import Keys
from unitf.cli.merging import merge, put, with_init_args
from unitf.cli.notation import long_form
from unitf.cli.owners import OWNERS
from unitf.cli.recipe import files_of, read_recipe
from unitf.cli.yaml_values import in_one_line
from unitf.errors import UserError


def long_words(argv: Sequence[str]) -> list[str]:
    """Returns the words of a command line in the long notation.

    `--model.tokenizers.text.Words.lowercase true` means the same as
    `--model.tokenizers.text '{Words: {lowercase: true}}'`.

    Raises:
        UserError: a value may be meant as a class or as a name in a dictionary.
    """
    return [word for option in options_of(argv) for word in _long(*option)]


def explicit_words(argv: Sequence[str]) -> list[str]:
    """Returns the words of a command line with each `init_args` that a person may leave out.

    Args:
        argv: the words in the long notation.
    """
    merged: dict[str, object] = {}
    files, explicit = files_of(list(argv)), list[str]()
    for words, keys, text in options_of(argv):
        option, equals, _ = words[0].partition("=")
        if option in ("--config", "-c") and (file := next(files, None)) is not None:
            merge(merged, read_recipe(file))
        elif keys and keys[0] in OWNERS:
            keys = with_init_args(keys, merged)
            put(merged, keys, parsed(text))
            option = f"--{'.'.join(keys)}"
            words = [f"{option}={text}"] if equals else [option, *words[1:]]
        explicit += words
    return explicit


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


def _long(words: list[str], keys: Keys, text: str) -> list[str]:
    """Returns the words of an option in the long notation."""
    value = parsed(text)
    if not keys or keys[0] not in OWNERS or len(keys) < 2:
        return words
    if not isinstance(value, dict | list) and not any(map(_may_be_class, keys)):
        return words
    nested = nested_value(keys, value)
    try:
        changed: object = long_form(nested)
    except UserError as error:
        raise UserError(f"--{error}") from error
    if changed == nested:
        return words
    prefix: list[str] = []
    for key in keys:
        if not isinstance(changed, dict) or key not in changed:
            break
        prefix.append(key)
        changed = changed[key]
    return [f"--{'.'.join(prefix)}={in_one_line(changed)}"]


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
