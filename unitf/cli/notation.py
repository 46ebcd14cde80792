"""The short notation of recipes, `{Words: {lowercase: true}}`, and the long one.

The long notation has the keys `class_path` and `init_args`. Recipes and options are read in both;
all that works with them knows the long one alone. What unitf writes is short.
"""

import re
from collections.abc import Mapping
from typing import Any

from unitf import registry
from unitf.cli.argument_types import (
    OBJECT,
    Keys,
    arguments_of,
    classes_in,
    is_map,
    is_settings,
    items_of,
)
from unitf.cli.argument_types import options as alternatives_of
from unitf.cli.class_lookup import kinds_of, present
from unitf.cli.owners import OTHERS, OWNERS
from unitf.core.config import TransformerConfig
from unitf.core.named import FIELDS
from unitf.errors import UserError
from unitf.registry.class_names import distribution_of, with_subclasses

_Dictionary = dict[Any, Any]  # as YAML has it
_CLASS_NAME = re.compile(r"[A-Z]|.*\.")  # how a class may be called that nobody knows


def long_form(recipe: Mapping[str, object]) -> dict[str, object]:
    """Returns a recipe in which `class_path` and `init_args` say all objects.

    Raises:
        UserError: a key may be meant as a class or as a name in a dictionary.
    """
    return _LongNotation().recipe(recipe)


def short_form(recipe: Mapping[str, object]) -> dict[str, object]:
    """Returns a recipe in the short notation, which `long_form` reads as the same recipe."""
    return _ShortNotation().recipe(recipe)


def is_recipe(value: object) -> bool:
    """Returns whether a dictionary is a recipe, by its keys."""
    if not isinstance(value, dict) or not value.keys() & OWNERS.keys():
        return False
    return value.keys() <= {*OWNERS, *OTHERS}


def as_object(
    annotation: object, value: object, keys: Keys = (), only_known: bool = False
) -> object:
    """Returns a value in the long notation, if the annotation expects an object there.

    `{Words: {lowercase: true}}` is an object where a class is expected. Where a class of settings
    is expected, a key is one of its arguments first. What lies within is not changed.

    Args:
        keys: where the value stands, for the message.
        only_known: whether the class must exist; else a misspelt name is read as one, too.

    Raises:
        UserError: the annotation also allows a dictionary with any key.
    """
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((name, arguments),) = value.items()
    classes = classes_in(annotation)
    if not classes or not isinstance(name, str) or name in OBJECT:
        return value
    settings = [cls for cls in classes if is_settings(cls)]
    if any(name in (arguments_of(cls) or {name: None}) for cls in settings):
        return value
    known = present(name, classes, kinds_of(classes)) is not None
    if any(is_map(option) for option in alternatives_of(annotation)):
        if known:
            raise UserError(
                f"{'.'.join((*keys, name))}: found a class or a name in a dictionary, "
                f"expected class_path: {name} for the class, or another name"
            )
        return value
    if not known and (only_known or settings or not _CLASS_NAME.match(name)):
        return value
    return {"class_path": name} | ({} if arguments is None else {"init_args": arguments})


def as_written(recipe: object, keys: Keys) -> Keys:
    """Returns the keys of the long notation as a recipe in any notation has them."""
    written: list[str] = []
    for key in keys:
        if isinstance(recipe, list) and key.isdigit() and int(key) < len(recipe):
            recipe = recipe[int(key)]
        elif isinstance(recipe, dict):
            if key == "init_args" and len(recipe) == 1 and not {*OBJECT} & recipe.keys():
                key = str(next(iter(recipe)))
            recipe = recipe.get(key)
        written.append(key)
    return tuple(written)


class _Notation:
    """Walks through a recipe beside the classes that take its values."""

    def recipe(self, recipe: Mapping[str, object]) -> dict[str, object]:
        return {
            key: self._arguments(OWNERS[key], value, (key,)) if key in OWNERS else value
            for key, value in recipe.items()
        }

    def _arguments(self, cls: type, values: object, keys: Keys) -> object:
        """Returns the arguments of a class in this notation."""
        accepted = arguments_of(cls)
        if not isinstance(values, dict) or accepted is None:
            return values
        changed: _Dictionary = {}
        for key, value in values.items():
            argument = accepted.get(str(key).removesuffix("+"))
            if cls is TransformerConfig and key in FIELDS:
                value = self._part(FIELDS[key], value)
            elif argument is not None:
                value = self._value(argument.annotation, value, (*keys, str(key)))
            changed[key] = value
        return changed

    def _value(self, annotation: object, value: object, keys: Keys) -> object:
        """Returns the value of an argument, or an item of one, in this notation."""
        if not isinstance(value, dict | list):
            return value
        value = as_object(annotation, value, keys)
        classes = classes_in(annotation)
        if isinstance(value, dict) and classes and isinstance(value.get("class_path"), str):
            return self._object(annotation, classes, value, keys)
        settings = [cls for cls in classes if is_settings(cls)]
        if isinstance(value, dict) and settings:
            return self._arguments(settings[0], value, keys)
        for option in alternatives_of(annotation):
            if (items := items_of(option, value, keys)) is not None:
                changed = [self._value(*item) for item in items]
                is_dictionary = isinstance(value, dict)
                return dict(zip(value, changed, strict=True)) if is_dictionary else changed
        return value

    def _object(
        self, annotation: object, classes: list[type], value: _Dictionary, keys: Keys
    ) -> object:
        """Returns an object in this notation; it is given in the long one."""
        cls = present(value["class_path"], classes, kinds_of(classes))
        if cls is None or "init_args" not in value:
            return self._named(annotation, cls, value)
        inner = (*keys, "init_args")
        arguments = self._arguments(cls, value["init_args"], inner)
        return self._named(annotation, cls, {**value, "init_args": arguments})

    def _named(self, annotation: object, cls: type | None, value: _Dictionary) -> object:
        """Returns an object whose arguments are in this notation; it is given in the long one."""
        raise NotImplementedError

    def _part(self, kind: str, value: object) -> object:
        """Returns a part of the core: a name, or a dictionary that names a class of a kind."""
        raise NotImplementedError


class _LongNotation(_Notation):
    def _named(self, annotation: object, cls: type | None, value: _Dictionary) -> object:
        return value

    def _part(self, kind: str, value: object) -> object:
        if not isinstance(value, dict) or len(value) != 1 or {*OBJECT} & value.keys():
            return value
        ((name, arguments),) = value.items()
        return {"class_path": name, "init_args": arguments or {}}


class _ShortNotation(_Notation):
    def _named(self, annotation: object, cls: type | None, value: _Dictionary) -> object:
        if not value.keys() <= {"class_path", "init_args"} or cls is None:
            return value
        name = short_name(cls, value["class_path"], classes_in(annotation))
        arguments = value.get("init_args")
        if not arguments and str not in alternatives_of(annotation):
            return name
        try:
            same = as_object(annotation, {name: arguments})
        except UserError:
            return value
        is_read = isinstance(same, dict) and same.get("class_path") == name
        return {name: arguments or {}} if is_read else value

    def _part(self, kind: str, value: object) -> object:
        if not isinstance(value, dict) or not value.keys() <= {"class_path", "init_args"}:
            return value
        arguments = value.get("init_args")
        return {value["class_path"]: arguments} if arguments else value.get("class_path", value)


def short_name(cls: type, path: str, expected: list[type]) -> str:
    """Returns the name of a class, if it alone has this name where it is expected; else its path.

    A class that nobody registered must be of a package that brings plugins: which classes torch or
    Lightning have depends on what is imported.
    """
    for kind in kinds_of([cls]):
        with_name = [entry for entry in registry.entries_of(kind) if entry.name == cls.__name__]
        if with_name:
            is_alone = len(with_name) == 1 and registry.resolve(with_name[0]) is cls
            return cls.__name__ if is_alone else path
    alike = [each for each in with_subclasses(expected) if each.__name__ == cls.__name__]
    return cls.__name__ if alike == [cls] and distribution_of(cls.__module__) else path
