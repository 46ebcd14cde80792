"""Merges recipes in the long notation as the parser does."""

from collections.abc import Mapping, Sequence
from typing import cast

from unitf.cli.argument_types import OBJECT, Keys
from unitf.errors import UserError


def merge(target: dict[str, object], recipe: Mapping[str, object]) -> None:
    """Puts the values of a later recipe into an earlier one; the last value of a key counts."""
    for key, value in recipe.items():
        earlier = target.get(key)
        if isinstance(earlier, dict) and isinstance(value, dict) and _goes_on(earlier, value):
            merge(cast(dict[str, object], earlier), value)
        else:
            target[key] = value


def _goes_on(earlier: Mapping[str, object], later: Mapping[str, object]) -> bool:
    """Returns whether a later value adds to an earlier one: another class has other arguments."""
    paths = str(earlier.get("class_path")), str(later.get("class_path"))
    return "class_path" not in later or is_same_class(*paths)


def put(recipe: dict[str, object], keys: Keys, value: object) -> None:
    """Puts the value of an option into a recipe, whose dictionaries and lists are changed."""
    node: object = recipe
    for key in keys[:-1]:
        inner = item_at(node, key)
        if isinstance(inner, str) and key != "class_path":  # the name of a class
            inner = {"class_path": inner}
        if not isinstance(inner, dict | list):
            inner = {}
        _set(node, key, inner)
        node = inner
    if isinstance(value, dict) and "class_path" in value:
        merged = {keys[-1]: item_at(node, keys[-1])}
        merge(merged, {keys[-1]: value})
        value = merged[keys[-1]]
    _set(node, keys[-1], value)


def item_at(value: object, key: str) -> object:
    """Returns what is at a key of a dictionary or at a number of a list; None: nothing."""
    if isinstance(value, list):
        return value[int(key)] if key.isdigit() and int(key) < len(value) else None
    return value.get(key) if isinstance(value, dict) else None


def node_at(value: object, keys: Keys) -> object:
    """Returns what is at a key of a recipe; None: nothing."""
    for key in keys:
        value = item_at(value, key)
    return value


def _set(parent: object, key: str, value: object) -> None:
    if isinstance(parent, list):
        parent[int(key) : int(key) + 1] = [value]
    elif isinstance(parent, dict):
        parent[key] = value


def explicit_keys(keys: Keys, recipe: object) -> Keys:
    """Returns the keys of an option as the long notation has them.

    A person may leave out `init_args`, or write the name of the class in its place. An item of a
    list is given by its number or by its class; a class that no item has becomes a new item.

    Args:
        recipe: what earlier files and options say; where it names a class, arguments follow.

    Raises:
        UserError: the list at these keys has no such item.
    """
    explicit: list[str] = []
    rest = keys
    while rest:
        node = recipe
        if isinstance(node, str) and explicit[-1:] != ["class_path"] and _is_class(node):
            node = {"class_path": node}
        if isinstance(node, dict) and "class_path" in node and rest[0] not in OBJECT:
            taken = _class_name(node["class_path"], rest)
            if taken == len(rest) or (not taken and _is_class(rest[0])):
                return (*explicit, *rest)  # another class, or all arguments
            explicit.append("init_args")
            node, rest = node.get("init_args"), rest[taken:]
        if isinstance(node, list):
            number, rest = _item(node, rest, keys)
            explicit.append(number)
            recipe = item_at(node, number)
            continue
        explicit.append(rest[0])
        recipe, rest = item_at(node, rest[0]), rest[1:]
    return tuple(explicit)


def _is_class(text: str) -> bool:
    return text.rpartition(".")[2][:1].isupper()


def _class_name(path: object, keys: Keys) -> int:
    """Returns how many of the first keys are the name of a class, which may be its last part."""
    number = next((n for n, key in enumerate(keys, 1) if _is_class(key)), 0)
    name = ".".join(keys[:number])
    return number if number and is_same_class(str(path), name) else 0


def is_same_class(one: str, other: str) -> bool:
    """Returns whether two paths of classes are equal, or one is the end of the other."""
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def _item(items: Sequence[object], keys: Keys, option: Keys) -> tuple[str, Keys]:
    """Returns the number of the item of a list that keys begin with, and the keys that follow."""
    if keys[0].isdigit() and int(keys[0]) < len(items):
        return keys[0], keys[1:]
    paths = [item.get("class_path") if isinstance(item, dict) else item for item in items]
    same = [number for number, path in enumerate(paths) if _class_name(path, keys)]
    if len(same) == 1:
        return str(same[0]), keys
    if not same and _is_class(keys[0]):
        return str(len(items)), keys
    names = ", ".join(f"{n} ({str(path).rpartition('.')[2]})" for n, path in enumerate(paths))
    raise UserError(f"--{'.'.join(option)}: found {keys[0]}, expected an item of the list: {names}")
