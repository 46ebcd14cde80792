"""`unitf inspect --config`: what a packed batch of a recipe looks like, before any training."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from unitf.errors import UserError


def parser() -> argparse.ArgumentParser:
    """The arguments of `unitf inspect`, beside those of the recipe."""
    made = argparse.ArgumentParser(
        prog="unitf inspect",
        usage="unitf inspect --config RECIPE [--model.… --data.… --trainer.…] [options]",
        description=__doc__,
        epilog="every argument of `unitf fit` that changes the recipe is taken as well",
        allow_abbrev=False,
    )
    made.add_argument(
        "--out", metavar="FILE.png", help="the picture (default: runs/<recipe>/inspect.png)"
    )
    made.add_argument("--batches", type=int, default=1, metavar="K", help="how many are counted")
    made.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return made


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
    cli.model.compile_core = False  # for one look it would take longer than it saves
    path = Path(options.out or Path("runs") / cli.recipe / "inspect.png")
    figures = cli.instead_of_training(lambda: _inspect(cli, options.batches, path))
    if options.json:
        sys.stdout.write(json.dumps(figures, ensure_ascii=False, indent=1) + "\n")
    else:
        _show(cli.recipe, figures)
    return 0


def _inspect(cli: Any, count: int, path: Path) -> dict[str, Any]:
    from itertools import islice

    from unitf.callbacks.instead import training_batches
    from unitf.inspecting import draw, figures_of, observe

    found = []
    with cli.trainer.precision_plugin.train_step_context():
        for batch in islice(training_batches(cli.trainer), count):
            found.append((batch, observe(cli.model, batch)))
    figures = figures_of(found)
    batch, matrices = found[0]
    tokens, padded = (sum(getattr(m, n) for m in matrices) for n in ("num_tokens", "num_padded"))
    title = (
        f"{cli.recipe}: a training batch of {batch.num_samples:,} samples is {tokens:,} tokens "
        "side by side; "
        + ("all are equally long" if tokens == padded else f"padded, it would be {padded:,}")
    )
    try:
        draw(path, matrices, title)
    except OSError as error:
        raise UserError(f"--out {path}: {error.strerror or error}") from error
    return {"recipe": cli.recipe, **figures, "picture": str(path)}


def _show(recipe: str, figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    width = None if sys.stdout.isatty() else 160
    console = Console(highlight=False, width=width, soft_wrap=True)
    batches = "first batch" if figures["batches"] == 1 else f"first {figures['batches']} batches"
    console.print(
        f"{recipe}, {batches}: {figures['samples']:,} samples, {figures['sequences']:,} "
        f"sequences, {figures['tokens']:,} tokens"
    )
    console.print(
        f"padded to the longest: {figures['padded_tokens']:,} tokens; "
        f"avoided: {100 * figures['padding_avoided']:.1f} %\n"
    )
    heads = ("sequences", "tokens", "shortest", "median", "longest", "positions")
    table = Table("", *heads, box=None, pad_edge=False)
    for column in table.columns[1:-1]:
        column.justify = "right"
    for matrix in figures["matrices"]:
        name = f"{matrix['name']} (D = {matrix['dim']})"
        table.add_row(name, *_counts(matrix), style="bold")
        for column, found in matrix["columns"].items():
            places = " × ".join(f"{low:g}…{high:g}" for low, high in found["positions"])
            table.add_row(f"  {column}", *_counts(found), places)
    console.print(table)
    _show_attention(console, figures)
    console.print(figures["picture"], markup=False)


def _show_attention(console: Any, figures: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("attention", "a token sees", "kernel", box=None, pad_edge=False)
    for matrix in figures["matrices"]:
        for one in matrix["attention"]:
            keys = "source" if one["kind"] == "cross" else matrix["name"]
            kernel = one["kernel"]
            if one["batches"] < figures["batches"]:
                kernel += f", in {one['batches']} of {figures['batches']} batches"
            table.add_row(f"{matrix['name']} at {keys}", one["sees"], kernel)
    console.print()
    console.print(table)
    table = Table("task", "samples", "that brought", box=None, pad_edge=False)
    for name, task in figures["tasks"].items():
        brought = ", ".join(f"{count} {columns}" for columns, count in task["brought"].items())
        table.add_row(name, f"{task['samples']:,}", brought)
    console.print()
    console.print(table)
    console.print()


def _counts(found: dict[str, Any]) -> list[str]:
    return [
        f"{found['sequences']:,}",
        f"{found['tokens']:,}",
        f"{found['shortest']:,}",
        f"{found['median']:,g}",
        f"{found['longest']:,}",
    ]
