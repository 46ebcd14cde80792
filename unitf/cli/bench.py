"""`unitf bench --config`: times the training steps of a recipe on this machine."""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired

from unitf.errors import UserError

if TYPE_CHECKING:  # torch and rich take long to import
    from rich.table import Table

    from unitf.analysis.measuring.throughput_of_steps import StepMeasurements
    from unitf.cli.largest_batch import LargestBatch

    class BenchResults(StepMeasurements):
        """What `unitf bench` prints as JSON."""

        recipe: str
        largest_batch: NotRequired[LargestBatch]


def parser() -> argparse.ArgumentParser:
    """Returns the parser of `unitf bench`; the recipe has arguments of its own."""
    parser = argparse.ArgumentParser(
        prog="unitf bench",
        usage="unitf bench --config RECIPE [--model.… --data.… --trainer.…] [options]",
        description=__doc__,
        epilog="every argument of `unitf fit` that changes the recipe is taken as well",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--steps", type=int, default=20, metavar="N", help="how many steps are timed"
    )
    parser.add_argument(
        "--largest-batch",
        action="store_true",
        help="find out how many samples fit in memory, each try in a process of its own",
    )
    parser.add_argument(
        "--memory",
        type=float,
        metavar="GB",
        help="what --largest-batch may use (default: what is free, on a GPU all of it)",
    )
    parser.add_argument("--out", metavar="FILE.json", help="a file for the results, as JSON")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--probe", action="store_true", help=argparse.SUPPRESS)  # one try
    return parser


def main(argv: list[str]) -> int:
    """Prints the measurements."""
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
    largest: LargestBatch | None = None
    if options.largest_batch:
        from unitf.cli.largest_batch import find_largest

        largest = find_largest(rest, cli.datamodule.batch_size or 1, options.memory)
    from unitf.analysis.measuring.throughput_of_steps import bench

    measurements = cli.run_prepared(lambda: bench(cli.trainer, cli.model, options.steps))
    results: BenchResults = {"recipe": cli.recipe, **measurements}
    if largest is not None:
        results["largest_batch"] = largest
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


def _show(results: "BenchResults") -> None:
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
    for quartiles, name, unit, scale in (
        (results["step_seconds"], "a step", "ms", 1000),
        (results["samples_per_second"], "samples", "per second", 1),
        (results["tokens_per_second"], "tokens", "per second", 1),
    ):
        low, median, high = (_short(scale * quartiles[n]) for n in ("low", "median", "high"))
        table.add_row(name, median, f"{low} to {high}", unit)
    console.print(table)
    console.print()
    for line in _lines(results):
        console.print(line, markup=False, soft_wrap=True)
    console.print()
    console.print(_parts(results))


def _lines(results: "BenchResults") -> list[str]:
    useful, limit = results["flops_per_second"] / 1e9, results["matmul_flops_per_second"] / 1e9
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


def _parts(results: "BenchResults") -> "Table":
    """Returns a table with a bar for each part of a step."""
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
