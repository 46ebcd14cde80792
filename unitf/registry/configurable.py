"""Objects that know the arguments they were made with, so that a checkpoint can make them again."""

import inspect
import textwrap
from typing import Any, TypeVar

from unitf.registry.class_names import KEYS, name_of, name_of_argument
from unitf.registry.class_search import find_class, find_class_of_argument

FORMAT = 2  # of what saved data says of a model; 1 named classes by where their files lay
Made = TypeVar("Made", bound="Configurable")
_PLAIN = (str, int, float, bool, type(None))


class Configurable:
    """Records its own constructor arguments; `configuration()` gives them back as plain data."""

    def __new__(cls: type[Made], *args: Any, **kwargs: Any) -> Made:
        self = super().__new__(cls)  # pyright: ignore[reportArgumentType]
        if args or kwargs:  # pickle and copy call __new__ bare, then restore __dict__
            try:
                bound = inspect.signature(cls).bind(*args, **kwargs)
            except TypeError:  # __init__ says it better
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

    def configuration(self) -> dict[str, Any]:
        """The class (see `unitf.registry.class_names`) and `init_args`, as plain data.

        Plain data are text, numbers, lists and dictionaries.
        """
        cls = type(self)
        arguments = {
            name: plain(value, f"{cls.__name__}({name}=…)", (cls, name))
            for name, value in self.__dict__.get("_arguments", {}).items()
            if name != "dim"  # written once, in the core's configuration
        }
        return {**name_of(cls), "init_args": arguments}


def plain(value: Any, location: str, argument: tuple[type, str] | None = None) -> Any:
    """`value` as plain data.

    Args:
        place: what is said of it in an error.
        argument: the class that was given it, and as which argument.

    Raises:
        TypeError: `value` holds something that a checkpoint cannot carry.
    """
    if isinstance(value, _PLAIN):
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
    if hasattr(value, "__fspath__"):
        return str(value)
    raise TypeError(
        f"{location}: a checkpoint carries text, numbers, lists and dictionaries, "
        f"not {type(value).__name__}"
    )


def remade(settings: Any, argument: tuple[type, str] | None = None, **extra: Any) -> Any:
    """The object whose `configuration()` `settings` are; other plain data as they are.

    Args:
        argument: the class that takes it, and as which argument.
        extra: what its constructor is given beside.

    Raises:
        UserError: a class is nowhere, or does not take what it is given.
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


def is_object(settings: Any) -> bool:
    """Whether plain data are the `configuration()` of an object."""
    return isinstance(settings, dict) and {"class", "init_args"} <= settings.keys()


def class_of(settings: dict[str, Any], argument: tuple[type, str] | None = None) -> type:
    """The class of the object whose `configuration()` `settings` are."""
    if argument is None:
        return find_class(settings, Configurable)
    return find_class_of_argument(settings, *argument, Configurable)


def comparable(settings: Any) -> Any:
    """Plain data without the versions and the hashes of files that objects were saved with."""
    if isinstance(settings, list):
        return [comparable(item) for item in settings]
    if not isinstance(settings, dict):
        return settings
    left_out = ("version", "sha256") if is_object(settings) else ()
    return {key: comparable(value) for key, value in settings.items() if key not in left_out}


def differences(one: Any, other: Any, location: str = "") -> list[str]:
    """Where two configurations differ, as "core.dim: 96, not 128" for each place."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            line
            for key in dict.fromkeys([*one, *other])
            for line in differences(
                one.get(key, _ABSENT),
                other.get(key, _ABSENT),
                f"{location}.{key}" if location else key,
            )
        ]
    return [] if one == other else [f"{location}: {_short(one)}, not {_short(other)}"]


_ABSENT = object()


def _short(value: Any) -> str:
    return "absent" if value is _ABSENT else textwrap.shorten(str(value), 60, placeholder="…")
