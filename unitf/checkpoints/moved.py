"""Moved names: the earlier names of classes, arguments and values of unitf.

Saved models and runs with old names are updated when they are read. A recipe or a command line with
an old name is refused with one line that says the new name.

A plugin declares the earlier names of its classes with the attributes `former_names` and
`former_arguments`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args, get_origin

from unitf.registry.arguments import annotations
from unitf.registry.class_names import PlainData, distribution_of

# old name of a class of unitf → its new name (a class that moved to another file needs no entry)
CLASSES: Mapping[str, str] = {}

# name of a class (also for its subclasses) → old name of an argument → new name
ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "TransformerConfig": {
        "positions": "relative_positions",
        "hidden_dropout": "activation_dropout",
        "checkpoint": "gradient_checkpointing",
    },
    "Tokenizer": {"positions": "position_embedding"},
    "Prefix": {"place": "position"},
    "SampleConvolutions": {"place_kernel": "position_kernel", "place_groups": "position_groups"},
    "MaskedTokens": {"share": "mask_ratio"},
    "HiddenSpans": {"share": "mask_ratio"},
}

# name of a class (also for its subclasses) → new name of an argument → old value → new value
VALUES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "TransformerConfig": {
        "norm_position": {"branch": "res_post", "both": "sandwich"},
        "relative_positions": {"buckets": "t5", "grid": "beit", "mixed": "rope_mixed"},
    },
}


@dataclass(frozen=True)
class Moved:
    """One old name or value, and its new one."""

    argument: str  # the name in the saved data or recipe
    new_argument: str
    value: str | None = None  # None: the name of the argument is old, not its value
    new_value: str | None = None


def new_class_name(name: str, distribution: str | None) -> str:
    """Returns the name that a class has now."""
    return CLASSES.get(name, name) if distribution == "unitf" else name


def moved_arguments(cls: type, arguments: Mapping[str, PlainData]) -> Iterator[Moved]:
    """Yields the arguments of a class that have old names or old values.

    A name or value that the class still accepts is not an old one.
    """
    accepted = annotations(cls)
    names = {old: new for old, new in _names(cls) if new in accepted and old not in accepted}
    values = _values(cls)
    for key, value in arguments.items():
        name = names.get(key, key)
        new_value = values.get(name, {}).get(value) if isinstance(value, str) else None
        if new_value is not None and value not in _choices(accepted.get(name)):
            yield Moved(key, name, value, new_value)
        elif name != key:
            yield Moved(key, name)


def updated_arguments(cls: type, arguments: Mapping[str, PlainData]) -> dict[str, PlainData]:
    """Returns the arguments of a class with the names and values that they have now."""
    moved = {each.argument: each for each in moved_arguments(cls, arguments)}
    current: dict[str, PlainData] = {}
    for key, value in arguments.items():
        change = moved.get(key, Moved(key, key))
        current[change.new_argument] = value if change.value is None else change.new_value
    return current


def _names(cls: type) -> Iterator[tuple[str, str]]:
    for base in reversed(cls.__mro__):
        if _is_ours(base):
            yield from ARGUMENTS.get(base.__name__, {}).items()
        yield from vars(base).get("former_arguments", {}).items()


def _values(cls: type) -> dict[str, Mapping[str, str]]:
    values: dict[str, Mapping[str, str]] = {}
    for base in reversed(cls.__mro__):
        if _is_ours(base):
            values |= VALUES.get(base.__name__, {})
    return values


def _is_ours(cls: type) -> bool:
    return distribution_of(cls.__module__) == "unitf"


def _choices(annotation: object) -> tuple[object, ...]:
    """Returns the values that an annotation with `Literal` lists."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(choice for part in get_args(annotation) for choice in _choices(part))
