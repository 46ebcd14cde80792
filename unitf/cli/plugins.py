"""`unitf plugins`: lists what is installed, checks a plugin, or begins a new package."""

import argparse
import json
import keyword
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, cast

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unitf import registry
from unitf.cli.writable import check_folder
from unitf.errors import UserError, did_you_mean
from unitf.registry.kinds import KINDS

if TYPE_CHECKING:  # torch takes long to import
    from unitf.testing import Outcome

MARKS: dict[str, str] = {"passed": "[green]✓[/]", "skipped": "[yellow]–[/]", "failed": "[red]✗[/]"}


def main(argv: list[str]) -> int:
    """Runs `unitf plugins list`, `check` or `new`."""
    options = _parser().parse_args(argv)
    if options.verb == "new":
        return _new(options.name, Path(options.out or f"unitf-{options.name}"))
    # a pipe gets whole lines
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 400)
    if options.verb == "list":
        rows = [_plain(entry) for entry in registry.records()]
        return _json(rows) if options.json else _list(console)
    return _check(options.name, None if options.json else console)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="unitf plugins", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|check|new")
    listing = verbs.add_parser("list", help="what is installed, and why something is broken")
    check = verbs.add_parser("check", help="whether a class keeps to what unitf relies on")
    check.add_argument("name", help="of a class, a plugin or a package, as in the list")
    for verb in (listing, check):
        verb.add_argument("--json", action="store_true", help="as JSON")
    new = verbs.add_parser("new", help="write an installable package for a new modality")
    new.add_argument("name", help="of the modality: lower case, like ecg")
    new.add_argument("--out", metavar="DIR", help="the folder to write (default: unitf-NAME)")
    return parser


# ---- list ------------------------------------------------------------------------------


def _plain(entry: registry.Record) -> dict[str, str]:
    keys = ("name", "kind", "path", "package", "version", "plugin", "status", "reason")
    return {"class_path" if key == "path" else key: getattr(entry, key) for key in keys}


def _json(rows: Sequence[Mapping[str, object]]) -> int:
    sys.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    return 0


def _list(console: Console) -> int:
    table = Table("name", "registers", "class", "package", "version", box=None, pad_edge=False)
    for entry in registry.records():
        if not entry.reason:
            table.add_row(
                entry.name, KINDS[entry.kind].one, entry.path, entry.package, entry.version
            )
    console.print(table)
    for entry in registry.records():
        if entry.reason:
            name = f"{entry.name}: " if entry.name else ""
            line = f"broken: {entry.plugin} ({entry.owner}): {name}{entry.reason}"
            console.print(line, style="red", markup=False, soft_wrap=True)
    return 0


# ---- check -----------------------------------------------------------------------------


def _check(name: str, console: Console | None) -> int:
    """Prints the outcome of each check of each class of this name; returns 1 if one failed."""
    rows = []
    for entry in _named(name):
        if console is not None:
            console.print(f"{entry.name or entry.plugin} ({entry.owner})", markup=False)
        for outcome in _outcomes(entry):
            rows.append({"name": entry.name or entry.plugin, **asdict(outcome)})
            if console is not None:
                detail = f": {escape(outcome.detail)}" if outcome.detail else ""
                line = f"  {MARKS[outcome.status]} {outcome.check}{detail}"
                console.print(line, soft_wrap=True)
    if console is None:
        _json(rows)
    return int(any(row["status"] == "failed" for row in rows))


def _named(name: str) -> list[registry.Record]:
    """Returns the records of a class, a plugin or a package.

    Only tokenizers, tasks and sources have checks.
    """
    entries = [e for e in registry.records() if name in (e.name, e.path, e.plugin, e.package)]
    if not entries:
        known = {e.name or e.plugin: None for e in registry.records()}
        raise UserError(f"nothing is called {name!r}{did_you_mean(name, known, 'known:')}")
    return entries


def _outcomes(entry: registry.Record) -> "Iterator[Outcome]":
    """Yields the outcome of each check of a class that a plugin registered."""
    from unitf import testing  # torch
    from unitf.testing.registered import run_class_checks

    reason = entry.reason
    if not reason:
        try:
            cls = cast(type, registry.find(entry.kind, entry.path))
        except UserError as error:
            reason = str(error)
    if reason:
        yield testing.Outcome("loads", "failed", reason)
        return
    yield testing.Outcome("loads", "passed", f"a {KINDS[entry.kind].one}")
    yield from run_class_checks(entry.kind, cls)


# ---- new -------------------------------------------------------------------------------


def _new(name: str, folder: Path) -> int:
    """Writes the package unitf-NAME, with a toy source, so that it can be trained at once."""
    words = {"name": name, "Name": "".join(part.capitalize() for part in name.split("_"))}
    reserved = name == "label" or keyword.iskeyword(words["Name"])  # by the template, by Python
    if reserved or not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise UserError(f"plugins new: expected a lower-case name such as ecg, found {name!r}")
    if find_spec(f"unitf_{name}") is not None:
        raise UserError(f"plugins new: a package unitf_{name} is installed; take another name")
    check_folder("plugins new: --out", folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"plugins new: {folder} exists already; `--out DIR` names another folder")
    for source, target in TEMPLATE.items():
        text = (files("unitf.cli") / "template" / source).read_text(encoding="utf-8")
        path = folder / target.format(**words)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(words), encoding="utf-8")
    Console(highlight=False).print(
        f"wrote {folder}: its README says how to go on\n"
        f"  pip install -e {folder}\n"
        f"  unitf plugins check {words['Name']}\n"
        f"  unitf fit --config {folder / 'train.yaml'}",
        markup=False,
        soft_wrap=True,
    )
    return 0


TEMPLATE: dict[str, str] = {  # file of the template → file of the package
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "init.py": "unitf_{name}/__init__.py",
    "tokenizer.py": "unitf_{name}/tokenizer.py",
    "examples.py": "unitf_{name}/examples.py",
    "test.py": "tests/test_{name}.py",
    "train.yaml": "train.yaml",
}
