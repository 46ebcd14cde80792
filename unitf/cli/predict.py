"""`unitf predict --checkpoint`: what a trained model says of files, folders, texts or a table."""

import argparse
import json
import sys
from typing import Any

from unitf.cli.inputs import HELP, columns_of, describe, read_inputs, texts_of


def parser() -> argparse.ArgumentParser:
    """The arguments of `unitf predict --checkpoint`."""
    made = argparse.ArgumentParser(prog="unitf predict", description=__doc__)
    made.add_argument("--checkpoint", required=True, help="a run's folder or a checkpoint file")
    made.add_argument(
        "--input",
        nargs="+",
        action="extend",
        default=[],
        metavar="COLUMN=VALUE|TABLE",
        help=HELP,
    )
    made.add_argument("--json", action="store_true", help="print JSON instead of text")
    made.add_argument("--batch-size", type=int, default=64, help="samples at once")
    return made


def main(argv: list[str]) -> int:
    """Prints the predictions."""
    arguments = parser().parse_args(argv)
    from unitf.loading import load

    learner = load(arguments.checkpoint)
    samples = read_inputs(arguments.input, columns_of(learner), texts=texts_of(learner))
    predictions = learner.predict(samples, arguments.batch_size)
    for prediction in predictions:
        number = int(prediction.pop("index"))
        prediction["sample"] = describe(samples[number])
    if arguments.json:
        sys.stdout.write(json.dumps(predictions, ensure_ascii=False, indent=1) + "\n")
    else:
        _show(predictions, several_tasks=len(learner.tasks) > 1)
    return 0


def _show(predictions: list[dict[str, Any]], several_tasks: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("sample", *(["task"] if several_tasks else []), "prediction", ""):
        table.add_column(heading, overflow="fold")
    for prediction in predictions:
        sample = ", ".join(f"{k}={v}" for k, v in prediction["sample"].items())
        rest = {k: v for k, v in prediction.items() if k not in ("sample", "task")}
        words = _words(rest)
        task = [prediction["task"]] if several_tasks else []
        table.add_row(*map(Text, (sample, *task, *words)))  # "[b]" is a word, not a style
    Console().print(table)


def _words(prediction: dict[str, Any]) -> tuple[str, str]:
    """A prediction in words: what it is, and how sure."""
    if "label" in prediction:
        best = prediction.get("probabilities", {})
        others = ", ".join(f"{name} {p:.3f}" for name, p in list(best.items())[1:4])
        sure = prediction.get("probability")
        return str(prediction["label"]), "" if sure is None else f"{sure:.3f}  ({others})"
    return ", ".join(f"{key} {_number(value)}" for key, value in prediction.items()), ""


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
