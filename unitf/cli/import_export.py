"""`unitf import`, `export` and `models`: exchanges weights with other libraries."""

import argparse
import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from unitf.interop.proof import Difference, Proof


def main(verb: str, argv: list[str]) -> int:
    """Runs `unitf import`, `export` or `models`."""
    options = _PARSERS[verb]().parse_args(argv)
    return {"import": _import, "export": _export, "models": _models}[verb](options)


def _import_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="unitf import", description="Import a published model.")
    parser.add_argument(
        "source",
        help="timm:NAME, hf:NAME, hf:FOLDER, hf:NAME#PART for one tower, kwt:FILE, or what "
        "another plugin's hub takes; NAME is a model on the hub; see `unitf models`",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder to write")
    _add_printing(parser)
    return parser


def _export_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unitf export", description="Write a model for the library that it came from."
    )
    parser.add_argument("checkpoint", help="a run's folder, a checkpoint or an imported folder")
    parser.add_argument("--to", required=True, help="the library: timm, hf or kwt")
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder to write")
    _add_printing(parser)
    return parser


def _models_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unitf models", description="List the models that can be imported."
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


_PARSERS = {"import": _import_parser, "export": _export_parser, "models": _models_parser}


def _add_printing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--verbose", action="store_true", help="print the difference after every block"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def _import(options: argparse.Namespace) -> int:
    from unitf.interop.exchange import write_import

    proof = write_import(options.source, options.out)
    return _report(proof, options, f"{options.source} is now {options.out}")


def _export(options: argparse.Namespace) -> int:
    from unitf.interop.exchange import export_model
    from unitf.loading import load

    proof = export_model(load(options.checkpoint), options.to, options.out)
    return _report(proof, options, f"{options.checkpoint} is now {options.to}:{options.out}")


def _report(proof: Proof, options: argparse.Namespace, done: str) -> int:
    """Prints how far the outputs of both models differ."""
    rows = [*(proof.layers if options.verbose else ()), *proof.outputs]
    if options.json:
        return _json({"out": options.out, "differences": [vars(row) for row in rows]})
    console = Console(highlight=False)
    console.print(_table(rows))
    summary = f"{done}: the same input gives the same to {proof.worst.relative:.1e}"
    console.print(summary, soft_wrap=True)
    return 0


def _table(rows: Sequence[Difference]) -> Table:
    table = Table("largest difference", "absolute", "relative", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.name, f"{row.absolute:.1e}", f"{row.relative:.1e}")
    return table


def _models(options: argparse.Namespace) -> int:
    from unitf.interop.hub import architectures, hubs

    rows = [
        {"family": cls.__name__, "hub": cls.hub, "kinds": list(cls.kinds), "package": _package(cls)}
        for cls in sorted(architectures(), key=lambda cls: (cls.hub, cls.__name__))
    ]
    cached = {prefix: hub.cached() for prefix, hub in hubs().items()}
    if options.json:
        return _json({"families": rows, "cached": cached})
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    table = Table("family", "import as", "kinds of model", "package", box=None, pad_edge=False)
    for row in rows:
        kinds = ", ".join(row["kinds"])
        table.add_row(row["family"], f"{row['hub']}:NAME", kinds, row["package"])
    console.print(table)
    for prefix, names in cached.items():
        console.print(f"in the cache of {prefix}: {', '.join(names) or 'nothing'}")
    return 0


def _package(cls: type) -> str:
    return cls.__module__.partition(".")[0]


def _json(data: object) -> int:
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    return 0
