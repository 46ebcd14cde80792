"""The figures of the folds of a cross-validation, their mean and deviation, and those of all."""

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple, TypeAlias

from unitf.checkpoints.atomic import write_text

MEAN, DEVIATION = "mean", "deviation"  # of the folds
ENSEMBLE, EACH_ONCE = "ensemble", "each sample once"
SHOWN: tuple[str, ...] = (MEAN, EACH_ONCE, ENSEMBLE)
_Results: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]  # metrics.json


class FigureRow(NamedTuple):
    """The figures of a task on a split: of one fold, or of what is made of all folds."""

    task: str
    split: str
    model: str
    figures: dict[str, float]


def results_in(folder: Path) -> _Results:
    """Returns the results of a run, by split, task and modality; none if it has none."""
    file = folder / "metrics.json"
    return json.loads(file.read_text(encoding="utf-8"))["results"] if file.is_file() else {}


def rows_of(model: str, results: _Results) -> list[FigureRow]:
    """Returns the figures of a model over all modalities."""
    return [
        FigureRow(task, split, model, _numbers(by_modality["all"]))
        for split, tasks in results.items()
        for task, by_modality in tasks.items()
        if "all" in by_modality
    ]


def with_mean(folds: Sequence[FigureRow]) -> list[FigureRow]:
    """Returns the figures of all folds, and of each task and split their mean and deviation."""
    groups: dict[tuple[str, str], list[FigureRow]] = {}
    for row in folds:
        groups.setdefault((row.task, row.split), []).append(row)
    rows: list[FigureRow] = []
    for (task, split), group in groups.items():
        names = [n for n in group[0].figures if all(n in row.figures for row in group)]
        values = {name: [row.figures[name] for row in group] for name in names}
        means = {name: fmean(each) for name, each in values.items()}
        deviations = {name: stdev(each) if each[1:] else 0.0 for name, each in values.items()}
        rows += group
        rows += [FigureRow(task, split, MEAN, means)]
        rows += [FigureRow(task, split, DEVIATION, deviations)]
    return rows


def write_rows(folder: Path, rows: Sequence[FigureRow]) -> None:
    """Writes folds.csv: a line for each model, split and task."""
    names = _names(rows)
    file = io.StringIO()
    writer = csv.DictWriter(file, ["task", "split", "model", *names])
    writer.writeheader()
    for row in rows:
        writer.writerow({"task": row.task, "split": row.split, "model": row.model, **row.figures})
    write_text(folder / "folds.csv", file.getvalue())


def show_rows(rows: Sequence[FigureRow]) -> None:
    """Prints a table for each task; those of single folds are left out."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    for task in dict.fromkeys(row.task for row in rows):
        own = [row for row in rows if row.task == task]
        shown = [row for row in own if row.model in SHOWN]
        table = Table(title=task, title_justify="left", title_style="bold", box=None)
        table.add_column("")
        for row in shown:
            table.add_column(f"{row.split}\n{row.model}", justify="right", no_wrap=True)
        for name in _names(shown):
            if name != "num_samples":
                table.add_row(name.replace("_", " "), *(_cell(row, name, own) for row in shown))
        console.print(table)


def _cell(row: FigureRow, name: str, rows: Sequence[FigureRow]) -> str:
    """Returns a figure as text; a mean has its deviation beside it."""
    if name not in row.figures:
        return ""
    text = f"{row.figures[name]:.4f}"
    beside = [r for r in rows if (r.model, r.split) == (DEVIATION, row.split)]
    return f"{text} ± {beside[0].figures[name]:.4f}" if row.model == MEAN and beside else text


def _names(rows: Sequence[FigureRow]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.figures))


def _numbers(metrics: Mapping[str, object]) -> dict[str, float]:
    return {name: float(v) for name, v in metrics.items() if isinstance(v, int | float)}
