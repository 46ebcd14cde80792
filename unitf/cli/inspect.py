"""`unitf inspect --config`: shows what a packed batch of a recipe holds, before any training."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from unitf.errors import UserError

if TYPE_CHECKING:  # torch and rich take long to import
    from rich.console import Console

    from unitf.analysis.inspecting.statistics import (
        BatchStatistics,
        ColumnStatistics,
        MatrixStatistics,
    )
    from unitf.cli.untrained import RecipeCLI

    class InspectResults(BatchStatistics):
        """What `unitf inspect` prints as JSON."""

        recipe: str
        picture: str


def parser() -> argparse.ArgumentParser:
    """Returns the parser of `unitf inspect`; the recipe has arguments of its own."""
    parser = argparse.ArgumentParser(
        prog="unitf inspect",
        usage="unitf inspect --config RECIPE [--model.… --data.… --trainer.…] [options]",
        description=__doc__,
        epilog="every argument of `unitf fit` that changes the recipe is taken as well",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--out", metavar="FILE.png", help="the picture (default: runs/<recipe>/inspect.png)"
    )
    parser.add_argument(
        "--batches", type=int, default=1, metavar="K", help="how many batches are counted"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return parser


def main(argv: list[str]) -> int:
    """Prints what the first training batches hold, and draws the first."""
    options, rest = parser().parse_known_args(argv)
    if options.batches < 1:
        raise UserError(f"--batches {options.batches}: expected 1 or more")
    from unitf.cli.untrained import RecipeCLI
    from unitf.cli.writable import check_writable

    if options.out is not None:
        if Path(options.out).suffix.lower() != ".png":
            raise UserError(f"--out {options.out}: expected the name of a picture, FILE.png")
        check_writable("--out", Path(options.out))
    cli = RecipeCLI("inspect", rest)
    cli.model.compile_core = False  # for a few batches it would take longer than it saves
    path = Path(options.out or Path("runs") / cli.recipe / "inspect.png")
    results = cli.run_prepared(lambda: _inspect(cli, options.batches, path))
    if options.json:
        sys.stdout.write(json.dumps(results, ensure_ascii=False, indent=1) + "\n")
    else:
        _show(results)
    return 0


def _inspect(cli: "RecipeCLI", count: int, path: Path) -> "InspectResults":
    """Draws the first training batch, and counts what the first `count` hold."""
    from itertools import islice

    from unitf.analysis.inspecting import batch_statistics, draw, observe
    from unitf.training.callbacks.prepared import training_batches

    observed = []
    with cli.trainer.precision_plugin.train_step_context():
        for batch in islice(training_batches(cli.trainer), count):
            observed.append((batch, observe(cli.model, batch)))
    statistics = batch_statistics(observed)
    batch, matrices = observed[0]
    tokens = sum(packed.num_tokens for packed in matrices)
    padded = sum(packed.num_padded for packed in matrices)
    title = (
        f"{cli.recipe}: a training batch of {batch.num_samples:,} samples is {tokens:,} tokens "
        "side by side; "
        + ("all are equally long" if tokens == padded else f"padded, it would be {padded:,}")
    )
    try:
        draw(path, matrices, title)
    except OSError as error:
        raise UserError(f"--out {path}: {error.strerror or error}") from error
    return {"recipe": cli.recipe, **statistics, "picture": str(path)}


def _show(statistics: "InspectResults") -> None:
    from rich.console import Console
    from rich.table import Table

    width = None if sys.stdout.isatty() else 160
    console = Console(highlight=False, width=width, soft_wrap=True)
    batches = (
        "first batch" if statistics["batches"] == 1 else f"first {statistics['batches']} batches"
    )
    console.print(
        f"{statistics['recipe']}, {batches}: {statistics['samples']:,} samples, "
        f"{statistics['sequences']:,} sequences, {statistics['tokens']:,} tokens"
    )
    console.print(
        f"padded to the longest: {statistics['padded_tokens']:,} tokens; "
        f"avoided: {100 * statistics['padding_avoided']:.1f} %\n"
    )
    heads = ("sequences", "tokens", "shortest", "median", "longest", "positions")
    table = Table("", *heads, box=None, pad_edge=False)
    for column in table.columns[1:-1]:
        column.justify = "right"
    for matrix in statistics["matrices"]:
        name = f"{matrix['name']} (D = {matrix['dim']})"
        table.add_row(name, *_counts(matrix), style="bold")
        for column, column_statistics in matrix["columns"].items():
            positions = column_statistics["positions"]
            ranges = " × ".join(f"{low:g}…{high:g}" for low, high in positions)
            table.add_row(f"  {column}", *_counts(column_statistics), ranges)
    console.print(table)
    _show_attention(console, statistics)
    console.print(statistics["picture"], markup=False)


def _show_attention(console: "Console", statistics: "BatchStatistics") -> None:
    from rich.table import Table

    table = Table("attention", "a token sees", "kernel", box=None, pad_edge=False)
    for matrix in statistics["matrices"]:
        for attention in matrix["attention"]:
            keys = "source" if attention["kind"] == "cross" else matrix["name"]
            kernel = attention["kernel"]
            if attention["batches"] < statistics["batches"]:
                kernel += f", in {attention['batches']} of {statistics['batches']} batches"
            table.add_row(f"{matrix['name']} at {keys}", attention["sees"], kernel)
    console.print()
    console.print(table)
    table = Table("task", "samples", "that brought", box=None, pad_edge=False)
    for name, task in statistics["tasks"].items():
        brought = ", ".join(f"{count} {columns}" for columns, count in task["brought"].items())
        table.add_row(name, f"{task['samples']:,}", brought)
    console.print()
    console.print(table)
    console.print()


def _counts(statistics: "MatrixStatistics | ColumnStatistics") -> list[str]:
    return [
        f"{statistics['sequences']:,}",
        f"{statistics['tokens']:,}",
        f"{statistics['shortest']:,}",
        f"{statistics['median']:,g}",
        f"{statistics['longest']:,}",
    ]
