"""Moved names: what classes, arguments and values of unitf were called before.

Saved models and runs that have the old words are brought to the new ones when they are read. A
recipe or a command line that has them is refused with one line that says the new word.

A plugin says the same of its own classes by their attributes `former_names` and
`former_arguments`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from unitf.registry.arguments import annotations
from unitf.registry.class_names import distribution_of

# classes of unitf by their old names: the new one. (What moved to another file needs no entry.)
CLASSES: Mapping[str, str] = {}

# of a class and its subclasses, by the class's name: the old name of an argument, and the new one
ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "TransformerConfig": {
        "positions": "relative_positions",
        "hidden_dropout": "activation_dropout",
        "checkpoint": "gradient_checkpointing",
    },
    "Tokenizer": {"positions": "position_embedding"},
    "Prefix": {"place": "position"},
    "MaskedTokens": {"share": "mask_ratio"},
    "HiddenSpans": {"share": "mask_ratio"},
}

# of a class and its subclasses, by an argument's new name: its old values, and the new ones
VALUES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "TransformerConfig": {
        "norm_position": {"branch": "res_post", "both": "sandwich"},
        "relative_positions": {"buckets": "t5", "grid": "beit", "mixed": "rope_mixed"},
    },
}


@dataclass(frozen=True)
class Moved:
    """One old word that was found, and what it is now."""

    argument: str  # as it was found
    new_argument: str
    value: str | None = None  # None: the argument is meant, not its value
    new_value: str | None = None


def new_class_name(name: str, distribution: str | None) -> str:
    """The name that a class has now."""
    return CLASSES.get(name, name) if distribution == "unitf" else name


def moved_arguments(cls: type, arguments: Mapping[str, Any]) -> Iterator[Moved]:
    """Which arguments of a class have old names or old values.

    A word that the class still takes is never an old one.
    """
    taken = annotations(cls)
    names = {old: new for old, new in _names(cls) if new in taken and old not in taken}
    values = _values(cls)
    for key, value in arguments.items():
        name = names.get(key, key)
        new = values.get(name, {}).get(value) if isinstance(value, str) else None
        if new is not None and value not in _choices(taken.get(name)):
            yield Moved(key, name, value, new)
        elif name != key:
            yield Moved(key, name)


def updated_arguments(cls: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a class by the names and with the values that they have now."""
    moved = {each.argument: each for each in moved_arguments(cls, arguments)}
    return {
        key if key not in moved else moved[key].new_argument: (
            value if key not in moved or moved[key].value is None else moved[key].new_value
        )
        for key, value in arguments.items()
    }


def _names(cls: type) -> Iterator[tuple[str, str]]:
    for base in reversed(cls.__mro__):
        if _is_ours(base):
            yield from ARGUMENTS.get(base.__name__, {}).items()
        yield from vars(base).get("former_arguments", {}).items()


def _values(cls: type) -> dict[str, Mapping[str, str]]:
    found: dict[str, Mapping[str, str]] = {}
    for base in reversed(cls.__mro__):
        if _is_ours(base):
            found |= VALUES.get(base.__name__, {})
    return found


def _is_ours(cls: type) -> bool:
    return distribution_of(cls.__module__) == "unitf"


def _choices(annotation: Any) -> tuple[Any, ...]:
    """The values that an annotation lists."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(choice for part in get_args(annotation) for choice in _choices(part))
