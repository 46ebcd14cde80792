"""`unitf describe`: what a class is, what it takes, and how a recipe names it."""

import argparse
import shutil
import sys
from collections.abc import Iterator

from unitf import registry
from unitf.errors import UserError, close_names, suggestion
from unitf.registry import importing
from unitf.registry.builtin import UNREGISTERED
from unitf.registry.discovery import Record, to_record
from unitf.registry.kinds import KINDS


def main(argv: list[str]) -> int:
    """Lists classes by kind, or describes one."""
    name = _parser().parse_args(argv).name
    if name is None or name in KINDS:
        sys.stdout.write("\n".join(_listing([name] if name else [*KINDS])) + "\n")
        return 0
    from unitf.cli.class_page import class_page  # torch

    cls, kind = _class(name)
    sys.stdout.write(class_page(cls, kind))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="unitf describe", description=__doc__)
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="of a class (Words), or of a kind (tokenizers)"
    )
    return parser


def records_of(kind: str) -> list[Record]:
    """Returns the records of all classes of a kind that work; imports none of the classes."""
    own = (
        [to_record(kind, target, Record("unitf", "unitf", "")) for target in UNREGISTERED[kind]]
        if kind in UNREGISTERED
        else []
    )
    known = [entry for entry in registry.records() if entry.kind == kind and not entry.reason]
    return [*known, *(entry for entry in own if entry.name not in {e.name for e in known})]


def _listing(kinds: list[str]) -> Iterator[str]:
    """Yields a line for each class, below the name of its kind."""
    width = shutil.get_terminal_size((120, 24)).columns if sys.stdout.isatty() else 0
    for kind in kinds:
        entries = sorted(records_of(kind), key=lambda entry: entry.name.lower())
        if not entries:
            continue
        yield f"{kind}:"
        column = max(len(entry.name) for entry in entries) + 2
        for entry in entries:
            line = f"  {entry.name:<{column}}{entry.help or _summary(entry)}"
            plugin = "" if entry.package == "unitf" else f"  ({entry.package})"
            room = width - len(plugin)
            yield (line if not width or len(line) <= room else line[: room - 1] + "…") + plugin
        yield ""
    if len(kinds) > 1:
        yield "`unitf describe NAME` says what a class takes."


def _summary(entry: Record) -> str:
    """Returns the first sentence of what a class says of itself, without importing it."""
    module, _, name = entry.path.rpartition(".")
    if isinstance(entry.target, type):
        text = " ".join((entry.target.__doc__ or "").partition("\n\n")[0].split())
    else:
        text = importing.first_paragraph(module, name)
    sentence, stop, _ = text.partition(". ")
    return sentence + stop.strip()


def _class(name: str) -> tuple[type, str | None]:
    """Returns the class of a name or a dotted path, and its kind; classes of settings have none.

    Raises:
        UserError: there is none; the message says similar names.
    """
    for kind in KINDS:
        for entry in records_of(kind):
            if name in (entry.name, entry.path):
                return registry.find(kind, entry.path), kind
    from unitf.cli.class_page import other_class  # torch

    if (cls := other_class(name)) is not None:
        return cls, None
    known = [*KINDS, *(entry.name for kind in KINDS for entry in records_of(kind))]
    close = close_names(name, known)
    hint = suggestion(close) if close else "`unitf describe` lists all classes"
    raise UserError(f"describe: no class is called {name[:80]!r}; {hint}")
