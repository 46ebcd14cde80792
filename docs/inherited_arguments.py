"""An extension of Griffe: a class also describes the constructor arguments that it inherits.

The base classes of a task are private, and a reader of the reference does not see them.
"""

import inspect
import re
from importlib import import_module
from typing import Any

import griffe

_ENTRY = re.compile(r"^    (\w+): (.*(?:\n {8,}.*)*)", re.MULTILINE)


class InheritedArguments(griffe.Extension):
    """Adds what the docstrings of base classes say of constructor arguments."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Extends the docstring of a class of unitf that says nothing of an argument."""
        if cls.docstring is None or not cls.path.startswith("unitf"):
            return
        value = getattr(import_module(cls.module.path), cls.name, None)
        if not inspect.isclass(value) or cls.name.startswith("_"):
            return
        known = arguments_of(cls.docstring.value)
        missing = {n: text for n, text in inherited_arguments(value).items() if n not in known}
        if missing:
            lines = "\n".join(f"    {name}: {text}" for name, text in missing.items())
            before, heading, after = cls.docstring.value.partition("\nArgs:\n")
            if heading:
                cls.docstring.value = f"{before}{heading}{lines}\n{after}"
            else:
                cls.docstring.value = f"{before.rstrip()}\n\nArgs:\n{lines}\n"


def inherited_arguments(cls: type) -> dict[str, str]:
    """What base classes of unitf say of the constructor arguments of a class, by their names."""
    found: dict[str, str] = {}
    parameters = list(inspect.signature(cls.__init__).parameters)
    for base in cls.__mro__[1:]:
        if base.__module__.startswith("unitf"):
            found = {**arguments_of(inspect.getdoc(base) or ""), **found}
    return {name: found[name] for name in parameters if name in found}


def arguments_of(docstring: str) -> dict[str, str]:
    """The entries of the section "Args" of a docstring."""
    _, _, section = docstring.partition("\nArgs:\n")
    section = re.split(r"\n(?=\S)", section, maxsplit=1)[0]
    return {name: text.rstrip() for name, text in _ENTRY.findall(section)}
