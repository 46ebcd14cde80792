"""`unitf predict --checkpoint`: predicts for files, folders, texts or a table."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from unitf.cli.as_json import as_json
from unitf.cli.checkpoint_option import add_checkpoint
from unitf.cli.class_folders import folders_of, right_by_folders
from unitf.cli.continued_table import ContinuedTable, samples_of_source
from unitf.cli.inputs import HELP, add_list, columns_of, describe, read_inputs, texts_of
from unitf.cli.written_files import (
    add_generated,
    check_new,
    is_folder,
    without_values,
    write_folder,
)
from unitf.cli.written_table import check_table, write_table
from unitf.errors import UserError

if TYPE_CHECKING:  # torch takes long to import
    from unitf.batch import Sample
    from unitf.component import PlainData
    from unitf.model import Model


def parser() -> argparse.ArgumentParser:
    """Returns the parser of `unitf predict --checkpoint`."""
    parser = argparse.ArgumentParser(
        prog="unitf predict",
        description=__doc__,
        epilog="Without --input, the test samples of the run's own recipe are predicted, and "
        "written to predictions.jsonl in the run's folder.",
    )
    add_checkpoint(parser)
    add_list(parser, "--input", HELP, "COLUMN=VALUE|TABLE")
    parser.add_argument(
        "--out",
        metavar="FILE|FOLDER/",
        help="a .csv or .jsonl file for the predictions; or a folder (FOLDER/), which then has "
        "predictions.csv, and pictures, masks, sounds and texts as files of their own",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--batch-size", type=int, default=64, help="samples at once")
    return parser


def main(argv: list[str]) -> int:
    """Prints the predictions; the status is 1 if some samples cannot be read, 2 if none can."""
    arguments = parser().parse_args(argv)
    if arguments.out is not None and is_folder(arguments.out):
        check_new("--out", Path(arguments.out))
    elif arguments.out is not None:
        check_table("--out", Path(arguments.out))
    from unitf.loading import load

    model = load(arguments.checkpoint)
    asked = samples_of_source(arguments.input, arguments.checkpoint)
    samples: Sequence[Sample] = (
        read_inputs(arguments.input, columns_of(model), texts=texts_of(model))
        if asked is None
        else [asked[number] for number in range(len(asked))]
    )
    skipped: list[str] = []
    predictions = model.predict(samples, arguments.batch_size, skipped)
    if skipped and not predictions:
        more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
        raise UserError(f"{skipped[0]}{more}")
    add_generated(model, samples, predictions, arguments.batch_size)
    if asked is None:
        _deliver(arguments, model, samples, predictions)
        for line in right_by_folders(predictions, folders_of(arguments.input), model):
            sys.stderr.write(f"unitf: {line}\n")
    else:
        _deliver_rows(arguments, model, asked, predictions)
    for message in skipped:
        sys.stderr.write(f"unitf: left out: {message}\n")
    return 1 if skipped else 0


def _deliver(
    arguments: argparse.Namespace,
    model: "Model",
    samples: Sequence["Sample"],
    predictions: list["PlainData"],
) -> None:
    """Writes the predictions where the command line says; each gets what its sample is."""
    count: int | None = None  # of the files in a folder
    if arguments.out is not None and is_folder(arguments.out):
        count = write_folder("--out", Path(arguments.out), model, samples, predictions)
    without_values(predictions)
    for prediction in predictions:
        number = int(prediction.pop("index"))
        prediction["sample"] = describe(samples[number])
    if count is not None:
        sys.stdout.write(f"{len(predictions)} predictions, {count} files: {arguments.out}\n")
    elif arguments.out is not None:
        write_table(Path(arguments.out), predictions)
        sys.stdout.write(f"{len(predictions)} predictions: {arguments.out}\n")
    elif arguments.json:
        sys.stdout.write(as_json(predictions, indent=1) + "\n")
    else:
        _show(predictions, several_tasks=len(model.tasks) > 1)


def _deliver_rows(
    arguments: argparse.Namespace,
    model: "Model",
    asked: ContinuedTable,
    predictions: Sequence["PlainData"],
) -> None:
    """Writes predictions as rows of the source, where the command line says."""
    pairs = [asked.restored(int(one["index"]), one) for one in predictions]
    samples = {
        int(one["index"]): sample for one, (sample, _) in zip(predictions, pairs, strict=True)
    }
    restored = [dict(prediction) for _, prediction in pairs]
    rows = asked.rows(restored)
    if arguments.out is not None and is_folder(arguments.out):
        count = write_folder("--out", Path(arguments.out), model, samples, restored, rows)
        sys.stdout.write(f"{len(rows)} rows, {count} files: {arguments.out}\n")
    elif arguments.out is not None:
        write_table(Path(arguments.out), [{"sample": row} for row in rows])
        sys.stdout.write(f"{len(rows)} rows: {arguments.out}\n")
    elif arguments.json:
        sys.stdout.write(as_json(rows, indent=1) + "\n")
    else:
        _show_rows(rows)


def _show_rows(rows: Sequence[Mapping[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_number(row.get(name, ""))) for name in names))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _show(predictions: Sequence[Mapping[str, object]], several_tasks: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("sample", *(["task"] if several_tasks else []), "prediction", ""):
        table.add_column(heading, overflow="fold")
    for prediction in predictions:
        columns = cast(Mapping[str, object], prediction["sample"])
        sample = ", ".join(f"{k}={v}" for k, v in columns.items())
        rest = {k: v for k, v in prediction.items() if k not in ("sample", "task")}
        words = _words(rest)
        task = [str(prediction["task"])] if several_tasks else []
        table.add_row(*map(Text, (sample, *task, *words)))  # "[b]" is a word, not a style
    Console().print(table)


def _words(prediction: Mapping[str, object]) -> tuple[str, str]:
    """Returns a prediction in words, and how sure the model is."""
    if "label" in prediction:
        probabilities = cast(Mapping[str, float], prediction.get("probabilities", {}))
        others = ", ".join(f"{name} {p:.3f}" for name, p in list(probabilities.items())[1:4])
        best = prediction.get("probability")
        return str(prediction["label"]), "" if best is None else f"{best:.3f}  ({others})"
    if prediction.keys() == {"text"}:
        return str(prediction["text"]), ""
    return ", ".join(f"{key} {_number(value)}" for key, value in prediction.items()), ""


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
