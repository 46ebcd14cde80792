"""Values of a recipe: what is written is kept, until it is known whether text is wanted."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

BOOLEANS = ("yes", "no", "on", "off", "true", "false")  # as a person may write them
_TAGS = {  # of a plain scalar → how it looks
    "merge": re.compile("<<"),
    "null": re.compile(r"~|null|Null|NULL|"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?(0|[1-9][0-9]*)"),
    "float": re.compile(
        r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    ),
}


class WrittenInt(int):
    """A whole number that is not written in the usual way, as +5."""

    written: str


class WrittenFloat(float):
    """A number that is not written in the usual way, as 1e-3 or 1.10."""

    written: str


class PlainLoader(yaml.SafeLoader):
    """Reads YAML by the core schema of YAML 1.2.

    `yes`, `no`, `on`, `off`, `1:30`, `0010` and `1_000` are texts. If a setting wants a boolean or
    a number, the parser reads the text as one. Keys are always texts.
    """

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """Returns the tag of a node: a plain scalar is null, a boolean, a number, or text."""
        if kind is not yaml.ScalarNode or not implicit[0]:
            return super().resolve(kind, value, implicit)
        tags = (tag for tag, pattern in _TAGS.items() if pattern.fullmatch(value))
        return f"tag:yaml.org,2002:{next(tags, 'str')}"

    def key(self, node: yaml.Node) -> object:
        """Returns a key of a mapping: a scalar is text, however it looks."""
        if isinstance(node, yaml.ScalarNode) and node.tag != "tag:yaml.org,2002:null":
            return str(node.value)
        return self.construct_object(node, deep=True)

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, object]:
        """Returns a mapping, with what `<<` merges into it."""
        self.flatten_mapping(node)
        return {self.key(key): self.construct_object(value, deep) for key, value in node.value}


def _int(loader: PlainLoader, node: yaml.ScalarNode) -> int:
    number = WrittenInt(node.value)
    number.written = node.value
    return int(number) if str(int(number)) == node.value else number


def _float(loader: PlainLoader, node: yaml.ScalarNode) -> float:
    text = node.value.lower()
    number = WrittenFloat(text.replace(".inf", "inf").replace(".nan", "nan"))
    number.written = node.value
    return float(number) if str(float(number)) == node.value else number


PlainLoader.add_constructor("tag:yaml.org,2002:int", _int)
PlainLoader.add_constructor("tag:yaml.org,2002:float", _float)


class PlainDumper(yaml.SafeDumper):
    """Writes what PlainLoader reads."""


def write_number(dumper: Any, number: WrittenInt | WrittenFloat) -> yaml.ScalarNode:
    """Returns the node of a number, as it was written."""
    kind = "int" if isinstance(number, int) else "float"
    return dumper.represent_scalar(f"tag:yaml.org,2002:{kind}", number.written)


PlainDumper.add_representer(WrittenInt, write_number)
PlainDumper.add_representer(WrittenFloat, write_number)


def written(value: bool | int | float) -> str:
    """Returns the text of a boolean or a number as it is written in the recipe."""
    if isinstance(value, WrittenInt | WrittenFloat):
        return value.written
    return str(value).lower() if isinstance(value, bool) else str(value)


def plain_value(value: object) -> object:
    """Returns a value with usual numbers in it."""
    if isinstance(value, WrittenInt):
        return int(value)
    if isinstance(value, WrittenFloat):
        return float(value)
    if isinstance(value, dict):
        return {key: plain_value(item) for key, item in value.items()}
    return [plain_value(item) for item in value] if isinstance(value, list) else value


def in_one_line(value: object) -> str:
    """Returns a value as YAML in one line."""
    text = yaml.dump(
        value, Dumper=PlainDumper, default_flow_style=True, width=float("inf"), allow_unicode=True
    )
    return text.strip().removesuffix("\n...").strip()
