"""Settings that name a registered class: by its short name, or with its arguments."""

import inspect
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from torch import nn

from unitf import registry
from unitf.core.choices import check_name
from unitf.errors import UserError
from unitf.registry.configurable import plain

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Part = TypeVar("Part", bound=nn.Module)

# "rms", {"DynamicTanh": {"alpha": 0.8}}, or the same as {"class_path": …, "init_args": {…}}
Named: TypeAlias = str | dict[str, Any]

# the fields of TransformerConfig that name a class, and the kind of this class
FIELDS: dict[str, str] = {
    "norm": "norms",
    "activation": "activations",
    "feedforward": "feedforwards",
    "relative_positions": "relative_positions",
}
NUM_POSITIONAL: dict[
    str, int
] = {  # how many arguments the core passes by position, before `init_args`
    "norms": 2,
    "activations": 0,
    "feedforwards": 1,
    "relative_positions": 2,
}


def normalised(field: str, value: Named) -> Named:
    """Returns the setting in its shortest form: a short name if there are no arguments.

    Raises:
        UserError: no class of this name is installed, or it does not have one of the arguments.
    """
    location, kind = f"TransformerConfig.{field}", FIELDS[field]
    name, arguments = _parts(location, value)
    package = "" if isinstance(value, str) else value.get("package")
    _check_installed(f"{location} (saved with {package})" if package else location, kind, name)
    try:
        cls = registry.find(kind, name)
    except UserError as error:
        raise UserError(f"{location}: {error}") from error
    _check_arguments(location, kind, cls, arguments)
    name = registry.name_of(kind, cls)
    if not arguments:
        return name
    try:
        return {"class_path": name, "init_args": plain(dict(arguments), name)}
    except TypeError as error:
        raise UserError(f"{location}: {error}") from error


def saved(config: "DataclassInstance") -> dict[str, Any]:
    """Returns a TransformerConfig as plain data, with the package of each class of a plugin.

    `normalised` removes the package again.
    """
    values: dict[str, Any] = asdict(config)
    # earlier checkpoints lack the key: they shall not be of another model than those of today
    if values["feedforward"] == "dense":
        del values["feedforward"]
    for field in FIELDS.keys() & values.keys():
        kind, value = FIELDS[field], values[field]
        name = value if isinstance(value, str) else value["class_path"]
        if name not in registry.own_names(kind):
            arguments: Mapping[str, Any] = {} if isinstance(value, str) else value["init_args"]
            package = registry.package_of(kind, name)
            values[field] = {"class_path": name, "package": package, "init_args": arguments}
    return values


def class_of(field: str, value: Named) -> type[Any]:
    """Returns the class that a setting names."""
    return registry.find(FIELDS[field], value if isinstance(value, str) else value["class_path"])


def make(base: type[Part], field: str, value: Named, *positional: object) -> Part:
    """Returns a new module of the class that a setting names.

    Args:
        base: the base class of its kind.
        positional: what the core passes to the constructor before `init_args`.

    Raises:
        UserError: the class does not accept one of the values.
    """
    arguments: Mapping[str, Any] = {} if isinstance(value, str) else value["init_args"]
    try:
        return cast(type[Part], class_of(field, value))(*positional, **arguments)
    except ValueError as error:
        raise UserError(f"TransformerConfig.{field}: {error}") from error


def _parts(location: str, value: object) -> tuple[str, Mapping[str, Any]]:
    """Returns the name and the arguments of a setting."""
    if isinstance(value, str):
        return value, {}
    if isinstance(value, Mapping):
        setting = cast(Mapping[str, object], value)
        if len(setting) == 1 and not setting.keys() & {"class_path", "init_args"}:
            ((key, values),) = setting.items()
            setting = {"class_path": key, "init_args": values}
        name = setting.get("class_path")
        arguments: object = setting.get("init_args") or {}
        known = set(setting) <= {"class_path", "init_args", "package"}
        if known and isinstance(name, str) and isinstance(arguments, Mapping):
            return name, cast(Mapping[str, Any], arguments)
    text = str(cast(object, value))[:60]
    raise UserError(f"{location}: expected a name, or a name and its arguments, found {text}")


def _check_installed(location: str, kind: str, name: str) -> None:
    """Raises an error that lists what is installed, if `name` is an unknown short name."""
    if "." not in name and name not in registry.own_names(kind):
        known = registry.names(kind)
        if name not in known:
            check_name(location, name, [n for n, broken in known.items() if not broken])


def _check_arguments(location: str, kind: str, cls: type, arguments: Mapping[str, object]) -> None:
    """Raises an error if the class lacks one of the arguments, or needs another one."""
    parameters: list[inspect.Parameter] = []
    if cls.__init__ is not nn.Module.__init__:
        parameters = list(inspect.signature(cls).parameters.values())[NUM_POSITIONAL[kind] :]
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
        return
    known = [each.name for each in parameters if each.kind is not inspect.Parameter.VAR_POSITIONAL]
    for name in arguments:
        if not known:
            raise UserError(f"{location}: {cls.__name__} has no arguments, found {name!r}")
        check_name(f"{location}: argument of {cls.__name__}", name, known)
    for each in parameters:
        if each.default is each.empty and each.name in known and each.name not in arguments:
            raise UserError(f"{location}: {cls.__name__} needs the argument {each.name!r}")
