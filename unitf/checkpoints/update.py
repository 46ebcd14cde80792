"""Updates the configuration in a checkpoint to format 2 and to the names of today."""

from collections.abc import Mapping

from unitf.checkpoints.moved import new_class_name, updated_arguments
from unitf.core import TransformerConfig
from unitf.core.lora import LoRA
from unitf.errors import UserError
from unitf.registry.class_names import (
    KEYS,
    PlainData,
    distribution_of,
    name_of,
    name_of_argument,
)
from unitf.registry.class_search import is_bare, locate, locate_argument
from unitf.registry.configurable import FORMAT, Configurable, is_object

_FORMAT_1 = {"class_path", "init_args"}


def updated(settings: Mapping[str, PlainData]) -> dict[str, PlainData]:
    """Returns the part `unitf` of a checkpoint of any format in format 2.

    A class that is not found keeps its name; making the model then raises the error.

    Raises:
        UserError: a later version of unitf wrote it.
    """
    saved_format = settings.get("format", 1)
    if saved_format not in range(1, FORMAT + 1):
        raise UserError(
            f"the saved model has format {saved_format}, expected at most {FORMAT}: it was saved "
            "by a later version of unitf"
        )
    configuration = dict(settings["configuration"])
    if isinstance(configuration.get("core"), dict):
        configuration["core"] = updated_arguments(TransformerConfig, configuration["core"])
    if isinstance(configuration.get("lora"), dict):
        configuration["lora"] = updated_arguments(LoRA, configuration["lora"])
    for kind in ("tokenizers", "tasks"):
        components = configuration.get(kind)
        if isinstance(components, dict):
            configuration[kind] = {n: _value(item, kind) for n, item in components.items()}
    return {**settings, "format": FORMAT, "configuration": configuration}


def named_by_path(path: str, kind: str | None = None) -> dict[str, PlainData]:
    """Returns how format 2 names the class of a dotted path, as format 1 and recipes have it."""
    parts = path.split(".")
    # a class within a class has more than one part
    first = next((n for n, part in enumerate(parts) if n and part[:1].isupper()), len(parts) - 1)
    module, name = ".".join(parts[:first]), ".".join(parts[first:])
    distribution = distribution_of(module) if module else None
    named = {"class": new_class_name(name, distribution)}
    if kind is not None:
        named["kind"] = kind
    return named | ({"module": module} if distribution is None else {"distribution": distribution})


def _value(
    value: PlainData, kind: str | None = None, argument: tuple[type, str] | None = None
) -> PlainData:
    """Updates an argument, a tokenizer or a task, with all objects inside it.

    Args:
        kind: the kind that it is registered as.
        argument: the class whose constructor takes it, and the name of the argument.
    """
    if isinstance(value, list):
        return [_value(item, None, argument) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == _FORMAT_1:
        return _object(named_by_path(value["class_path"], kind), value, argument, old=True)
    if not is_object(value):
        return {key: _value(item, None, argument) for key, item in value.items()}
    named = {key: item for key, item in value.items() if key in KEYS}
    named["class"] = new_class_name(named["class"], named.get("distribution"))
    return _object(named, value, argument, old=False)


def _object(
    named: dict[str, PlainData],
    value: dict[str, PlainData],
    argument: tuple[type, str] | None,
    old: bool,
) -> dict[str, PlainData]:
    try:
        cls = _class(named, argument, old)
    except UserError:
        return {**named, "init_args": value["init_args"]}
    arguments = updated_arguments(cls, value["init_args"])
    current = name_of(cls) if argument is None else name_of_argument(cls, *argument)
    # the saved version and the saved hash of the file are kept
    kept = {} if old else {key: named[key] for key in ("version", "file", "sha256") if key in named}
    if current.get("distribution") != named.get("distribution"):
        kept = {}
    return {
        **current,
        **kept,
        "init_args": {key: _value(item, None, (cls, key)) for key, item in arguments.items()},
    }


def _class(named: dict[str, PlainData], argument: tuple[type, str] | None, old: bool) -> type:
    if argument is not None and (old or is_bare(named)):
        try:
            return locate_argument({"class": named["class"]}, *argument, Configurable)
        except UserError:
            if not old:
                raise
    return locate(named, Configurable)
