"""Settings that name a registered class: by its short name, or with arguments of its own."""

import inspect
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

from torch import nn

from unitf import registry
from unitf.core.choices import check_name
from unitf.errors import UserError
from unitf.registry.configurable import plain

# "rms", or {"class_path": "DynamicTanh", "init_args": {"alpha": 0.8}}
Named: TypeAlias = str | dict[str, Any]

FIELDS = {  # of TransformerConfig, and the kind of class that each names
    "norm": "norms",
    "activation": "activations",
    "feedforward": "feedforwards",
    "relative_positions": "relative_positions",
}
_GIVEN = {  # how many arguments the core gives by their order, before `init_args`
    "norms": 2,
    "activations": 0,
    "feedforwards": 1,
    "relative_positions": 2,
}


def normalised(field: str, value: Named) -> Named:
    """The setting in its shortest form: a short name wherever there are no arguments.

    Raises:
        UserError: no class of this name is installed, or it has no such argument.
    """
    place, kind = f"TransformerConfig.{field}", FIELDS[field]
    name, arguments = _parts(place, value)
    package = "" if isinstance(value, str) else value.get("package")
    _check_installed(f"{place} (saved with {package})" if package else place, kind, name)
    try:
        cls = registry.find(kind, name)
    except UserError as error:
        raise UserError(f"{place}: {error}") from error
    _check_arguments(place, kind, cls, arguments)
    name = registry.name_of(kind, cls)
    if not arguments:
        return name
    try:
        return {"class_path": name, "init_args": plain(dict(arguments), name)}
    except TypeError as error:
        raise UserError(f"{place}: {error}") from error


def saved(config: Any) -> dict[str, Any]:
    """A TransformerConfig as plain data, with the package of each class that is not unitf's own.

    `normalised` leaves the package out again.
    """
    values: dict[str, Any] = asdict(config)
    # earlier checkpoints lack the key: they shall not be of another model than those of today
    if values["feedforward"] == "dense":
        del values["feedforward"]
    for field in FIELDS.keys() & values.keys():
        kind, value = FIELDS[field], values[field]
        name = value if isinstance(value, str) else value["class_path"]
        if name not in registry.own_names(kind):
            arguments = {} if isinstance(value, str) else value["init_args"]
            package = registry.package_of(kind, name)
            values[field] = {"class_path": name, "package": package, "init_args": arguments}
    return values


def class_of(field: str, value: Named) -> type[Any]:
    """The class that a setting names."""
    return registry.find(FIELDS[field], value if isinstance(value, str) else value["class_path"])


def make(field: str, value: Named, *given: Any) -> Any:
    """The module that a setting names.

    Args:
        given: what the core gives to its constructor before `init_args`.
    """
    arguments = {} if isinstance(value, str) else value["init_args"]
    try:
        return class_of(field, value)(*given, **arguments)
    except ValueError as error:  # the class does not like a value
        raise UserError(f"TransformerConfig.{field}: {error}") from error


def _parts(place: str, value: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(value, str):
        return value, {}
    if (
        not isinstance(value, Mapping)
        or not isinstance(value.get("class_path"), str)
        or not set(value) <= {"class_path", "init_args", "package"}
        or not isinstance(value.get("init_args") or {}, Mapping)
    ):
        raise UserError(
            f"{place}: expected a name, or class_path and init_args, found {str(value)[:60]}"
        )
    return value["class_path"], value.get("init_args") or {}


def _check_installed(place: str, kind: str, name: str) -> None:
    """Lists what is installed for a short name that nobody has; the registry finds paths."""
    if "." not in name and name not in registry.own_names(kind):
        known = registry.names(kind)
        if name not in known:
            check_name(place, name, [n for n, broken in known.items() if not broken])


def _check_arguments(place: str, kind: str, cls: type, arguments: Mapping[str, Any]) -> None:
    own: list[inspect.Parameter] = []
    if cls.__init__ is not nn.Module.__init__:
        own = list(inspect.signature(cls).parameters.values())[_GIVEN[kind] :]
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in own):
        return
    known = [each.name for each in own if each.kind is not inspect.Parameter.VAR_POSITIONAL]
    for name in arguments:
        if not known:
            raise UserError(f"{place}: {cls.__name__} has no arguments, found {name!r}")
        check_name(f"{place}: argument of {cls.__name__}", name, known)
    for each in own:
        if each.default is each.empty and each.name in known and each.name not in arguments:
            raise UserError(f"{place}: {cls.__name__} needs the argument {each.name!r}")
