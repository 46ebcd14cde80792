"""What the constructor of a class takes, and which classes its arguments may be of."""

import inspect
import sys
import typing
from collections.abc import Iterator
from typing import Any


def annotations(cls: type) -> dict[str, Any]:
    """The annotation of each argument by name, also of those that a base class takes.

    A base class counts as long as the constructors before it pass other arguments on (`**options`).
    """
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        constructor = vars(base).get("__init__")
        if not inspect.isfunction(constructor):
            continue
        hints, passes_on = _hints(constructor), False
        for number, parameter in enumerate(inspect.signature(constructor).parameters.values()):
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                passes_on = True
            elif number and parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
                found.setdefault(parameter.name, hints.get(parameter.name, parameter.annotation))
        if not passes_on:
            break
    return found


def classes_of(cls: type, argument: str) -> list[type]:
    """The classes in an argument's annotation: one, or those of a union, a list, a dictionary."""
    return list(dict.fromkeys(_classes_in(annotations(cls).get(argument))))


def _hints(constructor: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(constructor)
    except (NameError, AttributeError, TypeError):  # one that only a type checker knows
        return {name: _evaluated(hint, constructor) for name, hint in _raw(constructor).items()}


def _raw(constructor: Any) -> dict[str, Any]:
    return getattr(inspect.unwrap(constructor), "__annotations__", {})


def _evaluated(hint: Any, constructor: Any) -> Any:
    """One annotation alone, so that another one that is unknown does not hide it."""
    module = sys.modules.get(constructor.__module__)
    probe: Any = type("Probe", (), {"__annotations__": {"hint": hint}})
    try:
        return typing.get_type_hints(probe, vars(module) if module else {})["hint"]
    except (NameError, AttributeError, TypeError):
        return None


def _classes_in(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, list | tuple):  # the arguments of a Callable
        for part in annotation:
            yield from _classes_in(part)
    elif typing.get_args(annotation):
        yield from _classes_in(typing.get_args(annotation))
    elif isinstance(annotation, type) and annotation.__module__ != "builtins":
        yield annotation
    elif hasattr(annotation, "__value__"):  # type Alias = …
        yield from _classes_in(annotation.__value__)
