"""`unitf bench --config`: the training steps of a recipe on this machine, timed."""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from unitf.errors import UserError


def parser() -> argparse.ArgumentParser:
    """The arguments of `unitf bench`, beside those of the recipe."""
    made = argparse.ArgumentParser(
        prog="unitf bench",
        usage="unitf bench --config RECIPE [--model.… --data.… --trainer.…] [options]",
        description=__doc__,
        epilog="every argument of `unitf fit` that changes the recipe is taken as well",
        allow_abbrev=False,
    )
    made.add_argument("--steps", type=int, default=20, metavar="N", help="how many are timed")
    made.add_argument(
        "--largest-batch",
        action="store_true",
        help="find out how many samples fit in memory, each try in a process of its own",
    )
    made.add_argument(
        "--memory",
        type=float,
        metavar="GB",
        help="what --largest-batch may use (default: what is free, on a GPU all of it)",
    )
    made.add_argument("--out", metavar="FILE.json", help="a file for the figures")
    made.add_argument("--json", action="store_true", help="print JSON instead of tables")
    made.add_argument("--probe", action="store_true", help=argparse.SUPPRESS)  # one of these tries
    return made


def main(argv: list[str]) -> int:
    """Prints the figures."""
    options, rest = parser().parse_known_args(argv)
    if options.steps < 1:
        raise UserError(f"--steps {options.steps}: expected 1 or more")
    if options.memory is not None and not options.memory > 0:
        raise UserError(f"--memory {options.memory:g}: expected gigabytes, more than 0")
    from unitf.cli.untrained import RecipeCLI
    from unitf.cli.writable import check_writable

    if options.probe:
        from unitf.cli.largest_batch import probe

        return probe(rest, options.memory or math.inf)
    if options.out is not None:
        check_writable("--out", Path(options.out))
    cli = RecipeCLI("bench", rest)
    largest = None
    if options.largest_batch:
        from unitf.cli.largest_batch import find_largest

        largest = find_largest(rest, cli.datamodule.batch_size or 1, options.memory)
    from unitf.analysis.measuring.throughput_of_steps import bench

    trained = cli.run_prepared(lambda: bench(cli.trainer, cli.model, options.steps))
    results = {"recipe": cli.recipe, **trained, **({"largest_batch": largest} if largest else {})}
    text = json.dumps(results, ensure_ascii=False, indent=1) + "\n"
    if options.out is not None:
        _write(Path(options.out), text)
    if options.json:
        sys.stdout.write(text)
    else:
        _show(results)
    return 0


def _write(path: Path, text: str) -> None:
    from unitf.checkpoints.atomic import write_text

    try:
        write_text(path, text)
    except OSError as error:
        raise UserError(f"--out {path}: {error.strerror or error}") from error


def _show(results: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    threads = "" if "cpu" not in results["device"] else f", {results['threads']} threads"
    console.print(
        f"{results['recipe']}: {results['steps']} training steps of "
        f"{results['samples_per_step']:,.0f} samples, {results['tokens_per_step']:,.0f} tokens; "
        f"{results['precision']} on {results['device']}{threads}\n"
    )
    table = Table("", "median", "middle half", "", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for key, name, unit, scale in (
        ("step_seconds", "a step", "ms", 1000),
        ("samples_per_second", "samples", "per second", 1),
        ("tokens_per_second", "tokens", "per second", 1),
    ):
        formatted = {n: f"{_short(scale * number)}" for n, number in results[key].items()}
        table.add_row(name, formatted["median"], f"{formatted['low']} to {formatted['high']}", unit)
    console.print(table)
    console.print()
    for line in _lines(results):
        console.print(line, markup=False, soft_wrap=True)
    console.print()
    console.print(_parts(results))


def _lines(results: dict[str, Any]) -> list[str]:
    useful, limit = (results[n] / 1e9 for n in ("flops_per_second", "matmul_flops_per_second"))
    lines = [
        f"useful operations: {useful:,.1f} GFLOP/s, {100 * results['share_of_matmul']:.0f} % of "
        f"the {limit:,.1f} that a large matrix product reaches here in {results['computed_in']}",
        f"padding avoided: {100 * results['padding_avoided']:.1f} %",
        f"peak memory: {results['peak_memory_bytes'] / 1e9:.2f} GB",
    ]
    if (largest := results.get("largest_batch")) is not None:
        every = ", which is all there are" if largest["everything"] else ""
        lines.append(
            f"largest batch: {largest['samples']:,} samples{every}, within "
            f"{largest['memory_bytes'] / 1e9:.2f} GB ({len(largest['tries'])} tries)"
        )
    return lines


def _parts(results: dict[str, Any]) -> Any:
    """A bar for each part of a step."""
    from rich.table import Table
    from rich.text import Text

    table = Table("where the time goes", "ms", "%", "", box=None, pad_edge=False)
    for column in table.columns[1:3]:
        column.justify = "right"
    for name, part in results["parts"].items():
        bar = Text("█" * round(40 * part["share"]), style="blue")
        table.add_row(name, f"{1000 * part['seconds']:,.1f}", f"{100 * part['share']:.1f}", bar)
    return table


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
