"""The arguments that the constructor of a class takes, and the classes of their annotations."""

import inspect
import sys
import typing
from collections.abc import Callable, Iterator, Mapping


def annotations(cls: type) -> dict[str, object]:
    """Returns the annotation of each constructor argument, by name.

    The arguments of a base class are included if the constructors of all subclasses between pass
    further arguments on (`**options`).
    """
    hints_by_name: dict[str, object] = {}
    for base in cls.__mro__:
        constructor = vars(base).get("__init__")
        if not inspect.isfunction(constructor):
            continue
        hints, passes_on = _hints(constructor), False
        for number, parameter in enumerate(inspect.signature(constructor).parameters.values()):
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                passes_on = True
            elif number and parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
                hint = hints.get(parameter.name, parameter.annotation)
                hints_by_name.setdefault(parameter.name, hint)
        if not passes_on:
            break
    return hints_by_name


def classes_of(cls: type, argument: str) -> list[type]:
    """Returns the classes in an argument's annotation, also those inside a union, list or dict."""
    return list(dict.fromkeys(_classes_in(annotations(cls).get(argument))))


def _hints(constructor: Callable[..., object]) -> dict[str, object]:
    try:
        return typing.get_type_hints(constructor)
    except (NameError, AttributeError, TypeError):  # a name that only a type checker sees
        return {name: _evaluated(hint, constructor) for name, hint in _raw(constructor).items()}


def _raw(constructor: Callable[..., object]) -> Mapping[str, object]:
    return getattr(inspect.unwrap(constructor), "__annotations__", {})


def _evaluated(hint: object, constructor: Callable[..., object]) -> object:
    """Evaluates one annotation alone, so that an unknown name in another one does no harm."""
    module = sys.modules.get(constructor.__module__)
    probe = type("Probe", (), {"__annotations__": {"hint": hint}})
    try:
        return typing.get_type_hints(probe, vars(module) if module else {})["hint"]
    except (NameError, AttributeError, TypeError):
        return None


def _classes_in(annotation: object) -> Iterator[type]:
    if isinstance(annotation, list | tuple):  # the arguments of a Callable
        for part in annotation:
            yield from _classes_in(part)
    elif typing.get_args(annotation):
        yield from _classes_in(typing.get_args(annotation))
    elif isinstance(annotation, type) and annotation.__module__ != "builtins":
        yield annotation
    elif hasattr(annotation, "__value__"):  # type Alias = …
        yield from _classes_in(getattr(annotation, "__value__"))  # noqa: B009
