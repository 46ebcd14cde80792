"""Applies the overrides of single settings within the dictionaries of a recipe."""

from copy import deepcopy
from pathlib import Path

import yaml
from jsonargparse import get_loader

from unitf.cli.recipe import files_of, read_recipe
from unitf.cli.yaml_values import in_one_line
from unitf.errors import UserError


def spell_out(argv: list[str]) -> list[str]:
    """Replaces an option for one setting within a dictionary by an option for the dictionary.

    `--….init_args.augment.erase.probability 0.5` becomes `--….init_args.augment={…}`, the whole
    dictionary with this setting in it. jsonargparse (4.53) overrides arguments of classes, but not
    what lies within a dictionary that is such an argument. The same holds for the parts of a core,
    which are plain data to the parser: `--model.core.feedforward.init_args.num_experts 4`.
    """
    words, rest = [], list(argv)
    while rest:
        word = rest.pop(0)
        option, equals, text = word.partition("=")
        key_path, keys = _key_path(option)
        value = text if equals else "".join(rest[:1])
        if key_path[:2] == _CORE and not keys and value.startswith("{"):
            words += _part_words(option, text if equals else rest.pop(0))
            continue
        if option in ("--config", "-c"):
            words += _names_of_parts(next(files_of([word, *rest[:1]]), None))
        has_value = equals or (rest and not rest[0].startswith("--"))
        settings = None
        if keys and has_value:
            known = _Settings(words, key_path)
            settings = known.part if key_path[:2] == _CORE else known.dictionary
        if settings is None:
            words.append(word)
            continue
        if key_path[:2] == _CORE and keys == ["class_path"]:
            settings = {}  # another class has other arguments
        _put(settings, keys, _parsed(option, text if equals else rest.pop(0)), option)
        option, whole = f"--{'.'.join(key_path)}", in_one_line(settings)
        if key_path[:2] == _CORE:
            words += _part_words(option, whole)
        else:
            words.append(f"{option}={whole}")
    return words


def _part_words(option: str, text: str) -> list[str]:
    """Returns the words that set a part of the core.

    jsonargparse (4.53) fails where a dictionary with `class_path` replaces another one, but not
    where it replaces a name; so the name comes first.
    """
    value = _parsed(option, text)
    words = [f"{option}={text}"]
    if isinstance(value, dict) and isinstance(value.get("class_path"), str):
        words.insert(0, f"{option}={value['class_path']}")
    return words


def _names_of_parts(file: Path | None) -> list[str]:
    """Returns words that set the names of the core's parts, as the parser is about to read them.

    They come before the file, for the reason that `_part_words` says.
    """
    core: object = {} if file is None else read_recipe(file)
    for key in _CORE:
        core = core.get(key) if isinstance(core, dict) else None
    if not isinstance(core, dict):
        return []
    parts = {key: value for key, value in core.items() if isinstance(value, dict)}
    names = {key: value["class_path"] for key, value in parts.items() if "class_path" in value}
    return [f"--{'.'.join(_CORE)}.{key}={name}" for key, name in names.items()]


_CORE = ["model", "core"]


def _key_path(option: str) -> tuple[list[str], list[str]]:
    """Returns the argument of a class that an option sets, and the keys within the argument."""
    parts = option.removeprefix("--").split(".")
    if option.startswith("--") and parts[:2] == _CORE:
        return parts[:3], parts[3:]
    if not option.startswith("--") or "init_args" not in parts:
        return [], []
    after = len(parts) - parts[::-1].index("init_args")
    return parts[: after + 1], parts[after + 1 :]


class _Settings:
    """The value of an argument of a class so far, in earlier files and words; the last one counts.

    Args:
        words: the earlier words of the command line.
        key_path: the keys that lead to the argument.
    """

    def __init__(self, words: list[str], key_path: list[str]) -> None:
        self.name: str | None = None  # of the class
        self.value: object = None
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
    def dictionary(self) -> "_Dictionary | None":
        """A copy of the value; None: it is no dictionary, or nothing names the class."""
        if self.name is None or not isinstance(self.value, dict | None):
            return None
        if self.value is not None and "class_path" in self.value:
            return None
        return deepcopy(self.value or {})

    @property
    def part(self) -> "_Dictionary":
        """A copy of the value for a part of the core, which may be only the name of a class."""
        if isinstance(self.value, str):
            return {"class_path": self.value}
        return deepcopy(self.value) if isinstance(self.value, dict) else {}

    def _take(self, value: object, keys: list[str]) -> None:
        """Takes what lies below these keys of a value, if they lead anywhere."""
        while keys:
            if keys[0] == "init_args":  # of a class
                self._take_name(value.get("class_path") if isinstance(value, dict) else value)
            if not isinstance(value, dict) or keys[0] not in value:
                return
            value, keys = value[keys[0]], keys[1:]
        self.value = value

    def _take_name(self, name: object) -> None:
        """Takes the name of the class."""
        if isinstance(name, str):
            last = name.rpartition(".")[2]
            if self.name is not None and last != self.name:
                self.value = None  # another class has other arguments
            self.name = last


_Dictionary = dict[object, object]  # as YAML has it: any value may be a key


def _parsed(option: str, text: str) -> object:
    try:
        return get_loader("yaml")(text)  # as the parser reads it: 1e-3 is a number
    except yaml.YAMLError as error:
        raise UserError(f"{option}: {text!r} is not YAML: {' '.join(str(error).split())}") from None


def _put(settings: _Dictionary, keys: list[str], value: object, option: str) -> None:
    """Puts a value into nested dictionaries."""
    *groups, last = keys
    for key in groups:
        if settings.get(key) in (None, True, False):  # on or off, with the usual settings
            settings[key] = {}
        nested = settings[key]
        if not isinstance(nested, dict):
            raise UserError(f"{option}: {key} is {nested!r}, which has no settings of its own")
        settings = nested
    settings[last] = value
