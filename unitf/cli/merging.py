"""Merges recipes in the long notation as the parser does."""

from collections.abc import Mapping
from typing import cast

from unitf.cli.argument_types import OBJECT, Keys


def merge(target: dict[str, object], recipe: Mapping[str, object]) -> None:
    """Puts the values of a later recipe into an earlier one; the last value of a key counts."""
    for key, value in recipe.items():
        earlier = target.get(key)
        if isinstance(earlier, dict) and isinstance(value, dict) and "class_path" not in value:
            merge(cast(dict[str, object], earlier), value)
        else:
            target[key] = value


def put(recipe: dict[str, object], keys: Keys, value: object) -> None:
    """Puts the value of an option into a recipe."""
    for key in keys[:-1]:
        if isinstance(recipe.get(key), str):  # the name of a class
            recipe[key] = {"class_path": recipe[key]}
        if not isinstance(recipe.get(key), dict):
            recipe[key] = {}
        recipe = cast(dict[str, object], recipe[key])
    recipe[keys[-1]] = value


def with_init_args(keys: Keys, recipe: object) -> Keys:
    """Returns the keys of an option with each `init_args` that a person may leave out.

    Args:
        recipe: what earlier files and options say; where it names a class, arguments follow.
    """
    explicit: list[str] = []
    for key in keys:
        node = {"class_path": recipe} if isinstance(recipe, str) else recipe
        if isinstance(node, dict) and "class_path" in node and key not in OBJECT:
            explicit.append("init_args")
            node = node.get("init_args")
        explicit.append(key)
        recipe = node.get(key) if isinstance(node, dict) else None
    return tuple(explicit)
