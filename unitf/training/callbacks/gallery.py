"""Which pictures a run draws from its history and its results."""

import csv
import io
import warnings
from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from unitf.checkpoints.atomic import write_text
from unitf.tasks.task import Task
from unitf.training.callbacks.plots import (
    COLOURS,
    GREY,
    Curve,
    CurveStyle,
    Row,
    draw_confusion,
    draw_curves,
    draw_modalities,
)
from unitf.training.metric_board import ALL
from unitf.training.results import Results

FRACTIONS = ("accuracy", "f1", "auroc")  # metrics from 0 to 1


class _HasClasses(Protocol):
    """A task that has a confusion matrix."""

    classes: Sequence[object]


def draw(
    folder: Path,
    tasks: Mapping[str, Task],
    history: Sequence[Row],
    results: Results,
) -> None:
    """Draws curves.png and confusion_<task>.png (and their numbers as .csv), and modalities.png.

    Args:
        folder: the folder of the pictures.
        history: the points of the curves.
        results: the results of all splits.
    """
    if history:
        _write_curves(folder / "curves.csv", history)
        panels = _panels(tasks, history)
        _try(partial(draw_curves, history=history, panels=panels), folder / "curves.png")
    _draw_confusions(folder, tasks, results)
    _draw_bars(folder, tasks, results)


def _try(draw: Callable[[Path], None], path: Path) -> None:
    """Draws a picture; if that fails it only warns, as the metrics are written already."""
    try:
        draw(path)
    except Exception as error:
        reason = " ".join(str(error).split())
        warnings.warn(f"{path} was not drawn: {type(error).__name__}: {reason}", stacklevel=2)


def main_metric(task: Task, metrics: Container[str]) -> str:
    """Returns the name of the available metric that says most about a task."""
    names = [task.monitor, "bits_per_byte", "perplexity", "mse", "loss"]
    return next((n for n in names if n != "loss" and n in metrics), "loss")


def _panels(tasks: Mapping[str, Task], history: Sequence[Row]) -> dict[str, list[Curve]]:
    """Returns a panel of losses, and for each kind of metric a curve per task and modality."""
    several = len(tasks) > 1
    losses: list[Curve] = [
        ("train/loss", "training", {"color": GREY, "linestyle": "--"}),
        ("validation/loss", "validation", {"color": COLOURS[0]}),
    ]
    panels: dict[str, list[Curve]] = {"loss": losses}
    logged = sorted({key for row in history for key in row})
    for number, (name, task) in enumerate(tasks.items()):
        colour = COLOURS[(number + 1) % len(COLOURS)] if several else COLOURS[0]
        if several:
            losses.append((f"validation/{name}/loss", f"validation: {name}", {"color": colour}))
        prefix = f"validation/{name}/"
        metric = main_metric(task, {key.removeprefix(prefix) for key in logged})
        if metric == "loss":
            continue
        panel = panels.setdefault(metric.replace("_", " "), [])
        parts = [k for k in logged if k.startswith(prefix) and k.endswith(f"/{metric}")]
        parts = [key for key in parts if key.count("/") == 3]
        label = f"{name}, all" if parts[1:] else name
        panel.append((f"{prefix}{metric}", label, {"color": colour, "linewidth": 2.4}))
        for part_index, key in enumerate(parts if parts[1:] else []):
            shade = colour if several else COLOURS[(part_index + 1) % len(COLOURS)]
            dashes = ("--", ":", "-.")[part_index % 3] if several else "-"
            style: CurveStyle = {"color": shade, "linewidth": 1.2, "linestyle": dashes}
            panel.append((key, f"{name}, {key.split('/')[2]}", style))
    return panels


def _draw_confusions(folder: Path, tasks: Mapping[str, Task], results: Results) -> None:
    """Draws a matrix for each task and test split; without one, for the validation split."""
    splits = [s for s in results if s.startswith("test")] or ["validation"]
    for split in splits:
        for name, task in tasks.items():
            metrics = results.get(split, {}).get(name, {}).get(ALL, {})
            counts = np.array(metrics.get("confusion", []))
            if counts.ndim != 2:
                continue
            stem = f"confusion_{name}" + ("" if split in ("test", "validation") else f"_{split}")
            title = f"{name} ({split}): accuracy {np.trace(counts) / max(counts.sum(), 1):.3f}"
            classes = cast(_HasClasses, task).classes
            _write_counts(folder / f"{stem}.csv", counts, classes)
            draw_matrix = partial(draw_confusion, counts=counts, names=classes, title=title)
            _try(draw_matrix, folder / f"{stem}.png")


def _write_curves(path: Path, history: Sequence[Row]) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(table, list(dict.fromkeys(key for row in history for key in row)))
    writer.writeheader()
    writer.writerows(history)
    write_text(path, table.getvalue())


def _write_counts(path: Path, counts: np.ndarray, names: Sequence[object]) -> None:
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["true\\predicted", *names])
    writer.writerows([name, *row] for name, row in zip(names, counts.tolist(), strict=True))
    write_text(path, table.getvalue())


def _draw_bars(folder: Path, tasks: Mapping[str, Task], results: Results) -> None:
    """Draws the main metric of every task with several modalities, by modality and split."""
    panels: dict[str, dict[str, dict[str, float]]] = {}
    names = set()
    for name, task in tasks.items():
        splits = {split: by_task[name] for split, by_task in results.items() if name in by_task}
        if all(len(by_modality) < 3 for by_modality in splits.values()):  # "all" and one modality
            continue
        metric = main_metric(task, next(iter(splits.values())).get(ALL, {}))
        names.add(metric)
        panels[f"{name}: {metric.replace('_', ' ')} by modality"] = {
            split: {
                modality: cast(float, metrics[metric])
                for modality, metrics in by_modality.items()
                if modality != ALL and metric in metrics
            }
            for split, by_modality in splits.items()
        }
    if panels:
        limit = 1.0 if names <= set(FRACTIONS) else None
        draw_bars = partial(draw_modalities, panels=panels, limit=limit)
        _try(draw_bars, folder / "modalities.png")
