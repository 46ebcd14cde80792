"""What a class is, in text: its docstring, its arguments, and an example in YAML."""

import pkgutil
import textwrap
from collections.abc import Mapping

import docstring_parser
import yaml

from unitf import registry
from unitf.cli.argument_types import Argument, arguments_of, in_words, options
from unitf.cli.yaml_values import PlainDumper, in_one_line
from unitf.core.named import NUM_POSITIONAL
from unitf.registry import definitions, discovery
from unitf.registry.class_names import distribution_of
from unitf.registry.kinds import KINDS
from unitf.testing.examples import TASKS

_WIDTH = 100
_GIVEN = {  # how many of the first arguments a recipe does not give: others know them
    **NUM_POSITIONAL,
    "tokenizers": 1,
    "optimizers": 1,
    "schedules": 1,
}


def class_page(cls: type, kind: str | None) -> str:
    """Returns a page about a class: what it is, its arguments, an example."""
    word = KINDS[kind].one if kind else "class of settings"
    title = f"{cls.__name__}: a {word} ({discovery.class_path(cls)})"
    paragraph = _parsed(cls).short_description or "It has no docstring."
    if (more := _parsed(cls).long_description) is not None:
        paragraph = f"{paragraph} {more.partition(chr(10) * 2)[0]}"
    arguments = list((arguments_of(cls) or {}).values())[_GIVEN.get(kind or "", 0) :]
    lines = [title, "", textwrap.fill(" ".join(paragraph.split()), _WIDTH), ""]
    if arguments:
        lines += ["arguments:", *_table(arguments, _descriptions(cls)), ""]
    return "\n".join([*lines, "example:", textwrap.indent(_example(cls, kind, arguments), "  ")])


def other_class(name: str) -> type | None:
    """Returns a class that nobody registered: of settings, or by a dotted path; None: none."""
    module = name.rpartition(".")[0]
    if module and (distribution_of(module) or module.startswith(("torch.optim", "lightning."))):
        try:
            found = pkgutil.resolve_name(name)
        except (ImportError, AttributeError, ValueError):
            return None
        return found if isinstance(found, type) else None
    alike = (cls for cls in definitions.defined(registry.homes(), name) if cls.__name__ == name)
    return None if module else next(alike, None)


def _parsed(cls: type) -> docstring_parser.Docstring:
    text = vars(cls).get("__doc__") or ""
    return docstring_parser.parse(text, docstring_parser.DocstringStyle.GOOGLE)


def _descriptions(cls: type) -> dict[str, str]:
    """Returns what a class and its base classes say of their arguments."""
    said: dict[str, str] = {}
    for base in cls.__mro__:
        for each in _parsed(base).params:
            said.setdefault(each.arg_name, " ".join((each.description or "").split()))
    return said


def _table(arguments: list[Argument], said: Mapping[str, str]) -> list[str]:
    """Returns a paragraph for each argument: name, type, default, and what it is."""
    lines: list[str] = []
    for argument in arguments:
        kind = in_words(argument.annotation)
        default = "required" if argument.is_required else f"default {_shown(argument.default)}"
        lines.append(f"  {argument.name}  ({kind}; {default})")
        if text := said.get(argument.name):
            indent = " " * 6
            lines += textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)
    return lines


def _shown(value: object) -> str:
    """Returns a default as a recipe has it."""
    if isinstance(value, type):
        return value.__name__
    if value is None or isinstance(value, bool | int | float | str | list | tuple | dict):
        return in_one_line(list(value) if isinstance(value, tuple) else value)
    return type(value).__name__


def _example(cls: type, kind: str | None, arguments: list[Argument]) -> str:
    """Returns a piece of a recipe that names the class, in the short notation."""
    values = {each.name: _value(each) for each in arguments if each.is_required}
    if kind == "tasks" and cls.__name__ in TASKS:
        values = {**values, **dict(TASKS[cls.__name__]["init_args"])}  # pyright: ignore
    elif not values and (first := _first_switch(arguments)) is not None:
        values = {first.name: first.default}
    entry: object = {cls.__name__: values} if values else cls.__name__
    *keys, last = (KINDS[kind].recipe_key if kind else "").split(".")
    if not last:
        return f"{in_one_line(entry)}\n"
    name = {"tokenizers": "text", "tasks": "answer", "sources": "mine"}.get(kind or "", "mine")
    for key in reversed([*keys, last]):
        entry = [entry] if key == "callbacks" else entry
        entry = {name if key == "*" else key: entry}
    return yaml.dump(entry, Dumper=PlainDumper, sort_keys=False, default_flow_style=None)


def _first_switch(arguments: list[Argument]) -> Argument | None:
    """Returns the argument that an example shows: a switch, a number or a word with a default."""
    plain = (bool, int, float, str)
    return next((each for each in arguments if isinstance(each.default, plain)), None)


def _value(argument: Argument) -> object:
    """Returns a value of the type that an argument expects, for an example."""
    examples = {str: "name", int: 8, float: 0.1, bool: True}
    for option in options(argument.annotation):
        if isinstance(option, type) and option in examples:
            return examples[option]
        if choices := getattr(option, "__args__", ()):
            first = choices[0]
            return first if isinstance(first, str) else [examples.get(first, "name")]
    return "…"
