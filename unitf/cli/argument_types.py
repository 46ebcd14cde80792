"""What an argument of a class expects, in words, and whether a value of a recipe is that."""

import inspect
import math
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from inspect import Parameter
from typing import Any, Literal, TypeGuard, TypeVar, Union, get_args, get_origin, is_typeddict

from jsonargparse._parameter_resolvers import get_signature_parameters

from unitf.cli.yaml_values import BOOLEANS
from unitf.errors import close_names, suggestion
from unitf.registry import discovery

OBJECT: tuple[str, ...] = ("class_path", "init_args", "dict_kwargs")  # keys of an object
Keys = tuple[str, ...]
_ANY = (Any, Parameter.empty, object)
_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    type(None): "nothing",
}


@dataclass(frozen=True)
class Argument:
    """An argument of the constructor of a class."""

    name: str
    annotation: object
    default: object

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is Parameter.empty

    def may_be_missing(self) -> bool:
        """Returns whether a recipe may say null for it."""
        return self.default is None or type(None) in options(self.annotation) or is_open(self)


@lru_cache(maxsize=256)
def arguments_of(cls: type) -> dict[str, Argument] | None:
    """Returns the arguments of a class by name, as the parser knows them; None: any are taken."""
    try:
        found = get_signature_parameters(cls, None)
    except (TypeError, ValueError, AttributeError):
        return None
    return {p.name: Argument(p.name, p.annotation, p.default) for p in found}


def is_open(argument: Argument) -> bool:
    """Returns whether an argument takes any value."""
    return any(option in _ANY or isinstance(option, str) for option in options(argument.annotation))


def options(annotation: object) -> tuple[object, ...]:
    """Returns the alternatives of an annotation: those of a union, or the annotation alone."""
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(part for option in get_args(annotation) for part in options(option))
    if hasattr(annotation, "__value__"):  # type Alias = …
        return options(getattr(annotation, "__value__"))  # noqa: B009
    return (annotation,)


def factory(option: object) -> tuple[tuple[object, ...], int] | None:
    """Returns the classes that a factory makes, and how many arguments it is called with."""
    if get_origin(option) is not Callable or len(get_args(option)) != 2:
        return None
    taken, made = get_args(option)
    return options(made), len(taken) if isinstance(taken, list) else 0


def is_class(option: object) -> TypeGuard[type]:
    """Returns whether an alternative is a class whose arguments a recipe gives."""
    if not isinstance(option, type) or option in _WORDS or get_origin(option) is not None:
        return False
    return option.__module__ not in ("builtins", "typing", "pathlib", "os") and not is_typeddict(
        option
    )


def classes_in(annotation: object) -> list[type]:
    """Returns the classes whose arguments a recipe gives, also those that a factory makes."""
    made = [each for option in options(annotation) for each in (factory(option) or ((), 0))[0]]
    return [option for option in (*options(annotation), *made) if is_class(option)]


def is_settings(option: object) -> TypeGuard[type]:
    """Returns whether a recipe gives the arguments of this class without its name."""
    if not is_class(option) or inspect.isabstract(option):
        return False
    return discovery.kind_of(option) is None


def is_map(option: object) -> bool:
    """Returns whether an alternative is a dictionary whose keys a person chooses."""
    origin = get_origin(option) or option
    return isinstance(origin, type) and issubclass(origin, Mapping)


def items_of(option: object, value: object, keys: Keys) -> list[tuple[object, object, Keys]] | None:
    """Returns the items of a list or dictionary, each with its annotation; None: it is none."""
    parts = get_args(option)
    origin = get_origin(option)
    is_list = isinstance(origin, type) and issubclass(origin, Iterable)
    if isinstance(value, dict) and is_map(option) and len(parts) == 2:
        return [(parts[1], item, (*keys, str(key))) for key, item in value.items()]
    if isinstance(value, list) and is_list and len(parts) == 1:
        return [(parts[0], item, (*keys, str(n))) for n, item in enumerate(value)]
    return None


def fits(option: object, value: object) -> bool:
    """Returns whether a value that is no object can be what an alternative says."""
    if option in _ANY or isinstance(option, str | TypeVar):
        return True
    origin, parts = get_origin(option), get_args(option)
    if origin is Callable:
        return False  # a class that is made later
    if origin is Literal:
        return value in parts or str(value) in map(str, parts)
    if origin in (list, Sequence, Iterable, set):
        return isinstance(value, list) and all(_any_fits(parts[:1], item) for item in value)
    if origin is tuple:
        return isinstance(value, list) and _fits_tuple(parts, value)
    if origin in (dict, Mapping):
        return isinstance(value, dict) and all(_any_fits(parts[1:], v) for v in value.values())
    if option is bool:
        return isinstance(value, bool) or str(value).lower() in BOOLEANS
    if isinstance(value, bool):
        return option is str
    if option is float:
        return _is_number(value) and not math.isnan(float(str(value)))
    if option is int:
        return _is_number(value) and float(str(value)).is_integer()
    if option is str:
        return not isinstance(value, list | dict | None)
    return value is None if option is type(None) else not is_class(option)


def _any_fits(annotations: Sequence[object], value: object) -> bool:
    return not annotations or any(fits(option, value) for option in options(annotations[0]))


def _fits_tuple(parts: tuple[object, ...], value: list[object]) -> bool:
    if len(parts) == 2 and parts[1] is Ellipsis:
        return all(_any_fits(parts[:1], item) for item in value)
    same_length = len(parts) == len(value)
    return same_length and all(_any_fits((p,), v) for p, v in zip(parts, value, strict=True))


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def in_words(annotation: object) -> str:
    """Returns what an annotation expects, in words."""
    words = list(dict.fromkeys(word for option in options(annotation) if (word := _word(option))))
    return " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words or ["a value"])


def _word(option: object) -> str:
    origin, parts = get_origin(option), get_args(option)
    if isinstance(option, type) and option in _WORDS and origin is None:
        return _WORDS[option]
    if origin is Literal:
        return ", ".join(str(part) for part in parts)
    if origin in (list, tuple, Sequence, Iterable, set) or option in (list, tuple):
        return f"a list of {_plural(parts)}" if parts else "a list"
    if origin in (dict, Mapping) or option is dict or is_typeddict(option):
        return f"a dictionary of {_plural(parts[1:])}" if parts else "a dictionary"
    if (made := factory(option)) is not None:
        return in_words(Union[made[0]]) if made[0] else "a class"  # noqa: UP007
    if is_class(option):
        return f"a class of kind {getattr(option, '__name__', option)}"
    return ""


def _plural(parts: Sequence[object]) -> str:
    words = in_words(parts[0]) if parts else "values"
    return words.removeprefix("a ") + ("" if words.startswith("a ") is False else "s")


def near(value: object, annotation: object) -> str:
    """Returns the end of a message: a choice that resembles the value; "" if none does."""
    choices = [str(c) for o in options(annotation) if get_origin(o) is Literal for c in get_args(o)]
    close = close_names(str(value), choices) if isinstance(value, str) else []
    return f"; {suggestion(close)}" if close else ""
