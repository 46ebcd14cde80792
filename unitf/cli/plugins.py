"""`unitf plugins`: lists what is installed, checks a tokenizer, begins a new package."""

import argparse
import json
import sys

from rich.console import Console
from rich.table import Table

from unitf import registry


def main(argv: list[str]) -> int:
    """Runs `unitf plugins …`."""
    parser = argparse.ArgumentParser(prog="unitf plugins", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|check|new")
    listing = verbs.add_parser("list", help="what is installed, and why something is broken")
    listing.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args(argv)
    return _list(options.json)


def _list(as_json: bool) -> int:
    entries = registry.records()
    if as_json:
        keys = ("name", "kind", "path", "package", "version", "plugin", "status", "reason")
        json.dump([{key: getattr(e, key) for key in keys} for e in entries], sys.stdout, indent=2)
        sys.stdout.write("\n")
        return 0
    # a pipe gets whole lines
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 400)
    table = Table("name", "registers", "class", "package", "version", box=None, pad_edge=False)
    for entry in entries:
        if not entry.reason:
            table.add_row(entry.name, entry.kind[:-1], entry.path, entry.package, entry.version)
    console.print(table)
    for entry in entries:
        if entry.reason:
            name = entry.name or entry.plugin
            line = f"broken: {name} ({entry.owner}): {entry.reason}"
            console.print(line, style="red", markup=False, soft_wrap=True)
    return 0
