"""Configurable: objects that record their constructor arguments, for checkpoints."""

import dataclasses
import inspect
import os
import textwrap
from typing import Any, TypeGuard, TypeVar

from unitf.registry.class_names import (
    KEYS,
    Named,
    PlainData,
    expected_class,
    name_of,
    name_of_argument,
)
from unitf.registry.class_search import find_class, find_class_of_argument

FORMAT: int = 2  # of saved configurations; format 1 named classes by their module paths
Instance = TypeVar("Instance", bound="Configurable")
_PLAIN = (str, int, float, bool, type(None))


class Configurable:
    """Records its constructor arguments; `configuration()` returns them as plain data."""

    def __new__(cls: type[Instance], *args: Any, **kwargs: Any) -> Instance:
        self = super().__new__(cls)  # pyright: ignore[reportArgumentType]
        if args or kwargs:  # pickle and copy call __new__ bare, then restore __dict__
            try:
                bound = inspect.signature(cls).bind(*args, **kwargs)
            except TypeError:  # __init__ will raise it with a better message
                return self
            arguments = {}
            for name, value in bound.arguments.items():
                kind = bound.signature.parameters[name].kind
                if kind is inspect.Parameter.VAR_KEYWORD:
                    arguments.update(value)
                elif kind is not inspect.Parameter.VAR_POSITIONAL:
                    arguments[name] = value
            self.__dict__["_arguments"] = arguments
        return self

    def configuration(self) -> dict[str, PlainData]:
        """Returns the class (see `unitf.registry.class_names`) and its `init_args` as plain data.

        Plain data are text, numbers, lists and dictionaries.
        """
        cls = type(self)
        arguments = {
            name: plain(value, f"{cls.__name__}({name}=…)", (cls, name))
            for name, value in self.__dict__.get("_arguments", {}).items()
            if name != "dim"  # it is saved once, in the configuration of the core
        }
        return {**name_of(cls), "init_args": arguments}


def plain(value: object, location: str, argument: tuple[type, str] | None = None) -> PlainData:
    """Returns `value` as plain data.

    Args:
        value: text, a number, a path, a Configurable, a dataclass that the annotation of the
            argument names, or a list or dictionary of such values.
        location: where the value stands, for an error message.
        argument: the class whose constructor took the value, and the name of the argument.

    Raises:
        TypeError: `value` holds something that a checkpoint cannot carry.
    """
    if isinstance(value, _PLAIN):
        for kind in (int, float):  # a subclass of these is no plain data
            if isinstance(value, kind) and not isinstance(value, bool):
                return kind(value)
        return value
    if isinstance(value, Configurable):
        configuration = value.configuration()
        if argument is None:
            return configuration
        arguments = {key: item for key, item in configuration.items() if key not in KEYS}
        return {**name_of_argument(type(value), *argument), **arguments}
    if isinstance(value, dict):
        return {
            str(key): plain(item, f"{location}[{key!r}]", argument) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain(item, location, argument) for item in value]
    if isinstance(value, os.PathLike):
        return str(value)
    hint = ""
    if dataclasses.is_dataclass(value):
        cls = type(value)
        if argument is not None and expected_class(*argument, cls.__qualname__) is cls:
            return _plain_dataclass(value, cls, location)
        hint = "; annotate the argument with this class, or make it a unitf.Configurable"
    raise TypeError(
        f"{location}: a checkpoint carries text, numbers, lists and dictionaries, "
        f"not {type(value).__name__}{hint}"
    )


def _plain_dataclass(value: object, cls: type, location: str) -> PlainData:
    """Returns a dataclass of settings as its name and `init_args`, as those of a Configurable."""
    arguments = {
        field.name: plain(getattr(value, field.name), f"{location}.{field.name}", (cls, field.name))
        for field in dataclasses.fields(cls)
        if field.init
    }
    return {"class": cls.__qualname__, "init_args": arguments}


def remade(settings: PlainData, argument: tuple[type, str] | None = None, **extra: object) -> Any:
    """Makes the object whose `configuration()` is `settings`; returns other plain data unchanged.

    Args:
        settings: a configuration, or any plain data that may hold configurations.
        argument: the class whose constructor takes the object, and the name of the argument.
        extra: further arguments of the constructor.

    Raises:
        UserError: a class is not found.
    """
    if isinstance(settings, list):
        return [remade(item, argument) for item in settings]
    if not isinstance(settings, dict):
        return settings
    if not is_object(settings):
        return {key: remade(value, argument) for key, value in settings.items()}
    cls = class_of(settings, argument)
    arguments = {key: remade(value, (cls, key)) for key, value in settings["init_args"].items()}
    return cls(**arguments, **extra)


def is_object(settings: object) -> TypeGuard[dict[str, PlainData]]:
    """Returns whether plain data is the `configuration()` of an object."""
    return isinstance(settings, dict) and {"class", "init_args"} <= settings.keys()


def class_of(settings: Named, argument: tuple[type, str] | None = None) -> type:
    """Returns the class of the object whose `configuration()` is `settings`."""
    if argument is None:
        return find_class(settings, Configurable)
    return find_class_of_argument(settings, *argument, Configurable)


def comparable(settings: PlainData) -> PlainData:
    """Returns plain data without the versions and file hashes of its objects."""
    if isinstance(settings, list):
        return [comparable(item) for item in settings]
    if not isinstance(settings, dict):
        return settings
    left_out = ("version", "sha256") if is_object(settings) else ()
    return {key: comparable(value) for key, value in settings.items() if key not in left_out}


def differences(one: PlainData, other: PlainData, location: str = "") -> list[str]:
    """Returns the differences of two configurations, each as "core.dim: 96, not 128".

    None and a key that is absent are equal: an older checkpoint lacks arguments that came later.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            line
            for key in dict.fromkeys([*one, *other])
            if not (one.get(key) is None and other.get(key) is None)
            for line in differences(
                one.get(key, _ABSENT),
                other.get(key, _ABSENT),
                f"{location}.{key}" if location else key,
            )
        ]
    return [] if one == other else [f"{location}: {_short(one)}, not {_short(other)}"]


_ABSENT = object()


def _short(value: object) -> str:
    return "absent" if value is _ABSENT else textwrap.shorten(str(value), 60, placeholder="…")
