"""Makes the parser read a value as what the setting wants: text, a number or a boolean."""

import re
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from jsonargparse import Namespace, _typehints, set_dumper, set_loader

from unitf.cli.notation import as_object, is_recipe, long_form, short_form
from unitf.cli.yaml_values import (
    BOOLEANS,
    WrittenFloat,
    WrittenInt,
    plain_value,
    write_number,
    written,
)

_NULL = re.compile(r":\s+(null|~)\s*([,}\n]|$)")
_WHOLE = re.compile(r"[-+]?[0-9]+(_[0-9]+)*")
_parser: Any = _typehints


def read_by_expectation(loader: type[yaml.SafeLoader]) -> None:
    """Gives jsonargparse (4.53) our YAML loader and our way from a value to its type.

    Its own takes the type from the value: `yes` is a boolean even where a text is wanted, and a
    number is refused there.
    """

    def load(text: str, path: str | None = None) -> object:
        value = yaml.load(text, Loader=loader)
        if path is not None and isinstance(value, dict):
            return long_form(value)  # the parser gives the path of a recipe
        empty = isinstance(value, dict) and value and all(v is None for v in value.values())
        if empty and not _NULL.search(text):  # the parser writes null, and reads it again
            return text  # "{a, b}" or "a:" is a text with a special character
        return value

    set_loader("yaml", load, (yaml.YAMLError,))
    set_dumper("yaml", _dumped)
    for kind in (WrittenInt, WrittenFloat):  # the parser also writes values, and reads them again
        yaml.SafeDumper.add_representer(kind, write_number)
    if not hasattr(_parser.adapt_typehints, "by_expectation"):
        _parser.adapt_typehints = _by_expectation(_parser.adapt_typehints)


def _dumped(value: Any) -> str:
    """Returns YAML as the parser writes it; a recipe is in the short notation."""
    value = short_form(value) if is_recipe(value) else value
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False)


def _by_expectation(adapt: Any) -> Any:
    def adapt_by_expectation(val: Any, typehint: Any, *args: Any, **kwargs: Any) -> Any:
        val, typehint = as_expected(_as_object(val, typehint), typehint)
        return adapt(val, typehint, *args, **kwargs)

    setattr(adapt_by_expectation, "by_expectation", True)  # noqa: B010
    return adapt_by_expectation


def _as_object(val: Any, typehint: Any) -> Any:
    """Returns what a file of its own says of an object (`tokenizers: mine.yaml`), as long form."""
    if isinstance(val, Namespace) and len(vars(val)) == 1:
        spelled = as_object(typehint, vars(val), only_known=True)
        return val if spelled is vars(val) else spelled
    return as_object(typehint, val, only_known=True)


def as_expected(value: Any, typehint: Any) -> tuple[Any, Any]:
    """Returns a value as its type wants it, and the type; that of a union if it is decided."""
    is_number = isinstance(value, bool | int | float)
    if typehint is str:
        return (written(value) if is_number else value), typehint
    if typehint is int and isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value), typehint  # 0010 is ten
    if get_origin(typehint) not in (Union, UnionType):
        has_items = isinstance(value, list | dict) and typehint not in (Any, object, list, dict)
        return value if has_items else plain_value(value), typehint
    kinds = get_args(typehint)
    if is_number and (kind := _kind(value, kinds)) is not None:
        return plain_value(value), kind
    if isinstance(value, str) and value.lower() in BOOLEANS and _comes_first(bool, str, kinds):
        return value, bool
    if str in kinds and isinstance(value, str) and not _is_usual(value):
        return value, str  # 0010 and yes are no numbers and no booleans, where text is wanted too
    return value, typehint


def _comes_first(one: type, other: type, kinds: tuple[Any, ...]) -> bool:
    return one in kinds and (other not in kinds or kinds.index(one) < kinds.index(other))


def _kind(value: bool | int | float, kinds: tuple[Any, ...]) -> type | None:
    """Returns the type of a union that a boolean or a number has."""
    wanted: tuple[type, ...] = (bool,) if isinstance(value, bool) else (int, float)
    if isinstance(value, float):
        wanted = (float,)
    return next((kind for kind in wanted if kind in kinds), None)


def _is_usual(text: str) -> bool:
    """Returns whether a text is a number or a boolean that is written in the usual way."""
    if text in ("true", "false", "null"):
        return True
    try:
        return text in (str(float(text)), str(int(float(text))))
    except (ValueError, OverflowError):
        return bool(text) and text[0] in "[{"
