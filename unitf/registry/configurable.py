"""Objects that know the arguments they were made with, so that a checkpoint can make them again."""

import inspect
import textwrap
from typing import Any, TypeVar

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
        """`class_path` and `init_args` as plain data (text, numbers, lists, dictionaries)."""
        arguments = {
            name: plain(value, f"{type(self).__name__}({name}=…)")
            for name, value in self.__dict__.get("_arguments", {}).items()
            if name != "dim"  # written once, in the core's configuration
        }
        return {"class_path": class_path(type(self)), "init_args": arguments}


def class_path(cls: type) -> str:
    """The dotted path under which a class can be imported."""
    return f"{cls.__module__}.{cls.__qualname__}"


def plain(value: Any, location: str) -> Any:
    """`value` as plain data.

    Raises:
        TypeError: `value` holds something that a checkpoint cannot carry.
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Configurable):
        return value.configuration()
    if isinstance(value, dict):
        return {str(key): plain(item, f"{location}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, location) for item in value]
    if hasattr(value, "__fspath__"):
        return str(value)
    raise TypeError(
        f"{location}: a checkpoint carries text, numbers, lists and dictionaries, "
        f"not {type(value).__name__}"
    )


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
