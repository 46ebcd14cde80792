"""Finds old names in a recipe or on a command line, and says the new ones."""

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args, get_origin

import yaml

from unitf import registry
from unitf.checkpoints.atomic import write_text
from unitf.checkpoints.moved import moved_arguments, new_class_name
from unitf.checkpoints.update import named_by_path
from unitf.cli.class_lookup import kinds_of, present
from unitf.cli.long_words import nested_value, parsed
from unitf.cli.notation import short_form
from unitf.cli.recipe import files_of, read_recipe
from unitf.cli.yaml_values import PlainDumper
from unitf.errors import UserError
from unitf.registry import discovery
from unitf.registry.arguments import annotations, classes_of
from unitf.registry.class_search import locate

Owners = Mapping[str, type]  # first key of a recipe → the class that takes its arguments


class OldNameError(UserError):
    """A recipe or a command line has an old name; the message says the new one."""


def refuse_old_words(argv: Sequence[str], owners: Owners) -> None:
    """Checks the recipes and the words of a command line for old names.

    Raises:
        OldNameError: one of them has an old name.
    """
    words = Renamed(owners)
    for file in files_of(list(argv)):
        words.recipe(read_recipe(file))
        if words.lines:
            raise OldNameError(f"{file}: {'; '.join(words.lines)}")
    for number, word in enumerate(argv):
        option, equals, text = word.partition("=")
        keys = option.removeprefix("--").split(".")
        if not option.startswith("--") or keys[0] not in owners or len(keys) < 2:
            continue
        value = text if equals else "".join(argv[number + 1 : number + 2])
        words.recipe(nested_value(keys, parsed(value)))
        if words.lines:
            raise OldNameError("; ".join(f"--{line}" for line in words.lines))


def update_file(file: Path, owners: Owners) -> list[str]:
    """Replaces the old names in a recipe that an earlier version wrote; overwrites the file.

    Returns:
        One line for each change.
    """
    words = Renamed(owners)
    recipe = words.recipe(read_recipe(file))
    if words.lines:
        text = yaml.dump(
            short_form(recipe), Dumper=PlainDumper, sort_keys=False, allow_unicode=True
        )
        write_text(file, text)
    return words.lines


class Renamed:
    """Replaces the old names in recipes; `lines` says each old name with the new one.

    Args:
        owners: the classes that take the arguments of a recipe's parts.
    """

    def __init__(self, owners: Owners) -> None:
        self.owners: Owners = owners
        self.lines: list[str] = []
        self.named: dict[tuple[str, ...], type] = {}  # location → the class named there

    def recipe(self, recipe: Mapping[str, object]) -> dict[str, object]:
        """Returns the recipe with the new names."""
        return {
            part: self._arguments(self.owners[part], value, (str(part),))
            if part in self.owners and isinstance(value, dict)
            else value
            for part, value in recipe.items()
        }

    def _arguments(self, cls: type, arguments: object, keys: tuple[str, ...]) -> object:
        """Returns the arguments of a class with the new names; `keys` lead to them."""
        if not isinstance(arguments, dict):
            return arguments
        moved = {each.argument: each for each in moved_arguments(cls, arguments)}
        updated: dict[str, object] = {}
        location = ".".join(keys)
        for key, value in arguments.items():
            name = key
            if (change := moved.get(key)) is not None:
                name = change.new_argument
                if name != key:
                    self.lines.append(f"{location}.{key} is now {location}.{name}")
                if change.value is not None:
                    self.lines.append(f"{location}.{name}: {value} is now {change.new_value}")
                    value = change.new_value
            updated[name] = self._value(value, (cls, name), (*keys, str(key)))
        return updated

    def _value(self, value: object, argument: tuple[type, str], keys: tuple[str, ...]) -> object:
        """Returns the value of an argument (its class and name) with the new names."""
        classes = classes_of(*argument)
        if isinstance(value, list):
            return [self._value(item, argument, (*keys, str(n))) for n, item in enumerate(value)]
        if isinstance(value, str):
            return self._class_name(value, classes, keys)
        if not isinstance(value, dict):
            return value
        if "class_path" in value or "init_args" in value:
            return self._object(value, classes, keys)
        if keys in self.named:  # a command line may leave init_args out
            return self._arguments(self.named[keys], value, keys)
        if _is_mapping(annotations(argument[0]).get(argument[1])):
            return {key: self._value(v, argument, (*keys, str(key))) for key, v in value.items()}
        concrete = [cls for cls in classes if not inspect.isabstract(cls)]
        return self._arguments(concrete[0], value, keys) if len(concrete) == 1 else value

    def _object(
        self, value: Mapping[str, object], classes: list[type], keys: tuple[str, ...]
    ) -> dict[str, object]:
        """Returns an object (`class_path` and `init_args`) with the new names."""
        updated = dict(value)
        if isinstance(path := value.get("class_path"), str):
            updated["class_path"] = self._class_name(path, classes, keys)
        if keys in self.named and "init_args" in value:
            inner = (*keys, "init_args")
            updated["init_args"] = self._arguments(self.named[keys], value["init_args"], inner)
        return updated

    def _class_name(self, path: str, classes: list[type], keys: tuple[str, ...]) -> str:
        """Returns the name or path that a class has now."""
        if not classes:
            return path
        kinds = kinds_of(classes)
        cls = present(path, classes, kinds)
        if cls is None and (cls := _moved(path, classes, kinds)) is not None:
            new_path = public_path(cls) if "." in path else cls.__name__
            self.lines.append(f"{'.'.join(keys)}: {path} is now {new_path}")
            path = new_path
        if cls is not None:
            self.named[keys] = cls
        return path


def public_path(cls: type) -> str:
    """Returns the shortest dotted path that leads to an imported class."""
    parts = cls.__module__.split(".")
    for length in range(1, len(parts)):
        module = ".".join(parts[:length])
        if getattr(sys.modules.get(module), cls.__name__, None) is cls:
            return f"{module}.{cls.__name__}"
    return discovery.class_path(cls)


def _moved(path: str, classes: list[type], kinds: list[str]) -> type | None:
    """Returns the class that had this name or path in an earlier version; None: there is none."""
    for kind in kinds or [None]:
        for named in _former(path, kind):
            try:
                cls = locate(named)
            except UserError:
                continue
            if path not in (cls.__name__, discovery.class_path(cls)) and any(
                issubclass(cls, each) for each in classes
            ):
                return cls
    return None


def _former(path: str, kind: str | None) -> Iterator[dict[str, str]]:
    """Yields what a name or a path may have meant in an earlier version of any package."""
    if "." in path:
        if "module" not in (named := named_by_path(path, kind)):
            yield named
        return
    kinds = {} if kind is None else {"kind": kind}
    for package in dict.fromkeys(home.package for home in registry.homes().values()):
        yield {"class": new_class_name(path, package), **kinds, "distribution": package}
    yield {"class": path, **kinds, "file": ""}


def _is_mapping(annotation: object) -> bool:
    origin = get_origin(annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return True
    return any(_is_mapping(part) for part in get_args(annotation))
