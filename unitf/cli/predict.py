"""`unitf predict --checkpoint`: what a trained model says of files, folders, texts or a table."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from unitf.errors import UserError

_TABLES = {".csv", ".tsv", ".jsonl", ".json", ".parquet", ".arrow"}


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
        help="image=cat.png (a file), image=photos/ (each file of a folder), text='some words', "
        "text=@lines.txt (each line of a file), or a table (csv, tsv, jsonl, parquet) of columns; "
        "several columns make one sample, several values of a column several samples",
    )
    made.add_argument("--json", action="store_true", help="print JSON instead of text")
    made.add_argument("--batch-size", type=int, default=64, help="samples at once")
    return made


def read_inputs(words: list[str], columns: list[str]) -> list[dict[str, Any]]:
    """The samples that the words of `--input` mean.

    Raises:
        UserError: an unknown column, a missing file, or columns of different lengths.
    """
    values: dict[str, list[Any]] = {}
    samples: list[dict[str, Any]] = []
    for word in words:
        column, equals, value = word.partition("=")
        if equals and column in columns:
            values.setdefault(column, []).extend(_values(column, value))
        elif Path(word).suffix.lower() in _TABLES:
            samples += _table(Path(word), columns)
        else:
            raise UserError(
                f"--input {word}: expected COLUMN=VALUE with a column of "
                f"{', '.join(columns)}, or a table ({', '.join(sorted(_TABLES))})"
            )
    lengths = {column: len(found) for column, found in values.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{length} of {column}" for column, length in lengths.items())
        raise UserError(f"--input: columns of one sample go together, found {told}")
    samples += [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    if not samples:
        raise UserError(f"--input: found no sample, expected {columns[0]}=… for example")
    return samples


def _values(column: str, value: str) -> list[Any]:
    if value.startswith("@"):
        return _lines(Path(value[1:]))
    path = Path(value)
    try:
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.is_file() and p.name[0] != ".")
            if not files:
                raise UserError(f"--input {column}={value}: the folder is empty")
            return [str(file) for file in files]
    except OSError:  # a text too long for a file name
        pass
    return [value]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"--input @{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"--input @{path}: not UTF-8 text") from error


def _table(path: Path, columns: list[str]) -> list[dict[str, Any]]:
    from unitf.data import read_table

    rows = [dict(row) for row in read_table(path)]
    if rows and not set(rows[0]) & set(columns):
        raise UserError(
            f"--input {path}: has the columns {', '.join(map(str, rows[0]))}, "
            f"expected one of {', '.join(columns)}"
        )
    return [{k: v for k, v in row.items() if k in columns} for row in rows]


def main(argv: list[str]) -> int:
    """Prints the predictions."""
    arguments = parser().parse_args(argv)
    from unitf.checkpoints import load

    learner = load(arguments.checkpoint)
    columns = list(dict.fromkeys(c for task in learner.tasks.values() for c, _ in task.tokenized))
    samples = read_inputs(arguments.input, columns)
    predictions = learner.predict(samples, arguments.batch_size)
    for prediction in predictions:
        number = int(prediction.pop("index"))
        prediction["sample"] = {k: _brief(v) for k, v in samples[number].items()}
    if arguments.json:
        sys.stdout.write(json.dumps(predictions, ensure_ascii=False, indent=1) + "\n")
    else:
        _show(predictions, several_tasks=len(learner.tasks) > 1)
    return 0


def _brief(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else type(value).__name__


def _show(predictions: list[dict[str, Any]], several_tasks: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("sample", *(["task"] if several_tasks else []), "prediction", ""):
        table.add_column(heading, overflow="fold")
    for prediction in predictions:
        sample = ", ".join(f"{k}={v}" for k, v in prediction["sample"].items())
        rest = {k: v for k, v in prediction.items() if k not in ("sample", "task")}
        words = _words(rest)
        task = [prediction["task"]] if several_tasks else []
        table.add_row(sample, *task, *words)
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
