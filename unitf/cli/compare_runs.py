"""`unitf compare RUN RUN …`: puts runs side by side, as a table and as a page."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unitf.cli.checkpoint_option import HELP, run_folder
from unitf.cli.writable import check_writable
from unitf.errors import UserError

if TYPE_CHECKING:  # torch takes long to import
    from unitf.analysis.report import RecordedRun


def parser() -> argparse.ArgumentParser:
    """Returns the parser of `unitf compare`."""
    parser = argparse.ArgumentParser(prog="unitf compare", description=__doc__, allow_abbrev=False)
    parser.add_argument("runs", nargs="+", metavar="RUN", help=HELP)
    parser.add_argument(
        "--out", type=Path, default=Path("compare.html"), metavar="FILE", help="the page's file"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    return parser


def main(argv: list[str]) -> int:
    """Prints a table, and writes the page."""
    options = parser().parse_args(argv)
    check_writable("--out", options.out)
    folders = list(dict.fromkeys(run_folder("compare", word).resolve() for word in options.runs))
    if len(folders) < 2:
        raise UserError(f"compare: found {len(folders)} run, expected two or more different ones")
    from unitf.analysis.report import RecordedRun, write_comparison

    runs = [RecordedRun(folder) for folder in folders]
    for run in runs:
        if not run.metrics:
            raise UserError(
                f"compare: found no {run.folder / 'metrics.json'}: the run has no figures"
            )
    file = write_comparison(runs, options.out)
    _show(runs)
    sys.stdout.write(f"{file}\n")
    if options.open:
        import webbrowser

        webbrowser.open(file.resolve().as_uri())
    return 0


def _show(runs: "Sequence[RecordedRun]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from unitf.analysis.report import compared, costs, names_of

    figures = compared(runs)
    heads = [f"{f.task} {f.metric.replace('_', ' ')}, {f.split}" for f in figures]
    table = Table("run", box=None, pad_edge=False)
    for heading in (*heads, *costs(runs[0])):
        table.add_column(Text(heading), justify="right")
    for number, (run, name) in enumerate(zip(runs, names_of(runs), strict=True)):
        cells = [
            Text(_figure(figure.values[number]), style="bold" if figure.best == number else "")
            for figure in figures
        ]
        table.add_row(Text(name), *cells, *costs(run).values())
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(table)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
