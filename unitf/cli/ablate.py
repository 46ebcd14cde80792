"""`unitf ablate RUN`: what each input of a model, and each column of a table, is worth."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from unitf.errors import UserError, did_you_mean

if TYPE_CHECKING:  # torch and rich take long to import
    from unitf.analysis.ablation import InputWorth, TaskAblation
    from unitf.data.encoder import Item
    from unitf.training import DataModule


def parser() -> argparse.ArgumentParser:
    """Returns the parser of `unitf ablate`; settings of the data are taken as by `unitf fit`."""
    parser = argparse.ArgumentParser(
        prog="unitf ablate",
        usage="unitf ablate RUN [--data.… ] [options]",
        description=__doc__,
        epilog="each input is left out of the samples of a test, and permuted among them",
        allow_abbrev=False,
    )
    parser.add_argument("run", metavar="RUN", help="the folder of a run")
    parser.add_argument("--split", default="test", help="the split that is measured")
    parser.add_argument("--samples", type=int, metavar="N", help="the first N samples of a source")
    parser.add_argument("--permutations", type=int, default=5, metavar="K", help="of each input")
    parser.add_argument("--metric", action="append", default=[], metavar="[TASK=]NAME")
    parser.add_argument("--seed", type=int, default=0, help="of the permutations")
    parser.add_argument("--batch-size", type=int, default=64, help="samples at once")
    parser.add_argument("--out", metavar="FILE.json", help="a file for the results, as JSON")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return parser


def main(argv: list[str]) -> int:
    """Prints what the inputs of each task are worth."""
    options, rest = parser().parse_known_args(argv)
    for name in ("samples", "permutations", "batch_size"):
        if (value := getattr(options, name)) is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} {value}: expected 1 or more")
    recipe = Path(options.run) / "config.yaml"
    if not recipe.is_file():
        raise UserError(f"ablate {options.run}: found no {recipe}, expected the folder of a run")
    from unitf.analysis.ablation import Ablator
    from unitf.cli.untrained import RecipeCLI
    from unitf.cli.writable import check_writable
    from unitf.loading import load

    if options.out is not None:
        check_writable("--out", Path(options.out))
    data = RecipeCLI("ablate", ["--config", str(recipe), *rest]).datamodule
    model = load(options.run)
    items = _items(data, options.split, options.samples)
    ablator = Ablator(model, items, options.permutations, options.batch_size, options.seed)
    metrics = _metrics(options.metric, list(model.tasks))
    results = {
        "run": str(options.run),
        "split": options.split,
        "permutations": options.permutations,
        "tasks": dict(ablator.tasks(metrics)),
    }
    text = json.dumps(results, ensure_ascii=False, indent=1) + "\n"
    if options.out is not None:
        Path(options.out).write_text(text, encoding="utf-8")
    if options.json:
        sys.stdout.write(text)
    else:
        _show(results["tasks"], options.split)
    return 0


def _items(data: "DataModule", split: str, limit: int | None) -> "list[Item]":
    """Returns the samples of a split.

    Raises:
        UserError: there is none.
    """
    from unitf.data.sample_dataset import SampleDataset

    sources = data.lasting_samples(split)
    if not sources:
        known = [s for s in ("train", "validation", *data.test_splits) if data.lasting_samples(s)]
        raise UserError(f"--split {split}: found no samples" + did_you_mean(split, known))
    return list(SampleDataset(split, sources).items(limit))


def _metrics(words: list[str], tasks: list[str]) -> dict[str, str]:
    """Returns the figure of each task that an option names; without a task it is that of all."""
    found: dict[str, str] = {}
    for word in words:
        task, equals, metric = word.rpartition("=")
        if equals and task not in tasks:
            raise UserError(f"--metric {word}: no task {task!r}" + did_you_mean(task, tasks))
        found |= dict.fromkeys([task] if equals else tasks, metric)
    return found


def _show(tasks: "Mapping[str, TaskAblation]", split: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    for name, task in tasks.items():
        better = "higher" if task["mode"] == "max" else "lower"
        console.print(
            f"{name}: {task['metric']} {task['whole']:.4f} on {task['samples']:,} samples of "
            f"{split}; {better} is better",
            markup=False,
        )
        heads = ("input", "samples", "left out", "difference", "permuted", "difference")
        table = Table(*heads, box=None, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for worth in task["inputs"]:
            table.add_row(*_cells(worth, task["samples"]))
        console.print(table)


def _cells(worth: "InputWorth", samples: int) -> list[str]:
    left_out = _number(worth["left_out"])
    if worth["left_out"] is None:
        left_out = "the only input"
    elif worth["left_out_samples"] < samples:
        left_out += f" ({worth['left_out_samples']:,} samples)"
    deviation = worth["permuted_deviation"]
    spread = "" if deviation is None else f" ± {deviation:.4f}"
    return [
        worth["input"],
        f"{worth['samples']:,}",
        left_out,
        _number(worth["left_out_difference"], "+"),
        _number(worth["permuted"]),
        _number(worth["permuted_difference"], "+") + spread,
    ]


def _number(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.4f}"
