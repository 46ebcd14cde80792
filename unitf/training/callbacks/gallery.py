"""Gallery: which pictures a run draws, from its history and its results."""

import csv
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from unitf.checkpoints.atomic import write_text
from unitf.training.callbacks.plots import (
    COLOURS,
    GREY,
    Curve,
    draw_confusion,
    draw_curves,
    draw_modalities,
)

ALL = "all"
SHARES = ("accuracy", "f1", "auroc")  # from 0 to 1


def draw(
    folder: Path,
    tasks: dict[str, Any],
    history: list[dict[str, float]],
    results: dict[str, Any],
) -> None:
    """curves.png, confusion_<task>.png (and its counts as .csv), modalities.png.

    Args:
        history: points of the curves.
        results: split → task → modality → figure.
    """
    if history:
        _try(draw_curves, folder / "curves.png", history, _panels(tasks, history))
    _draw_confusions(folder, tasks, results)
    _draw_bars(folder, tasks, results)


def _try(draw: Callable[..., None], path: Path, *arguments: Any) -> None:
    """A picture that cannot be drawn is a warning: the figures are written already."""
    try:
        draw(path, *arguments)
    except Exception as error:
        reason = " ".join(str(error).split())
        warnings.warn(f"{path} was not drawn: {type(error).__name__}: {reason}", stacklevel=2)


def main_metric(task: Any, metrics: Any) -> str:
    """The name of the figure that tells most about a task, of those that there are."""
    names = [task.monitor, "bits_per_byte", "perplexity", "mse", "loss"]
    return next((n for n in names if n != "loss" and n in metrics), "loss")


def _panels(tasks: dict[str, Any], history: list[dict[str, float]]) -> dict[str, list[Curve]]:
    """What the curves show: losses, and for each kind of figure a line a task and modality."""
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
            style = ("--", ":", "-.")[part_index % 3] if several else "-"
            look = {"color": shade, "linewidth": 1.2, "linestyle": style}
            panel.append((key, f"{name}, {key.split('/')[2]}", look))
    return panels


def _draw_confusions(folder: Path, tasks: dict[str, Any], results: dict[str, Any]) -> None:
    """A matrix for each task and test split; the validation split where there is no test."""
    splits = [s for s in results if s.startswith("test")] or ["validation"]
    for split in splits:
        for name, task in tasks.items():
            metrics = results.get(split, {}).get(name, {}).get(ALL, {})
            counts = np.array(metrics.get("confusion", []))
            if counts.ndim != 2:
                continue
            stem = f"confusion_{name}" + ("" if split in ("test", "validation") else f"_{split}")
            title = f"{name} ({split}): accuracy {np.trace(counts) / max(counts.sum(), 1):.3f}"
            _write_counts(folder / f"{stem}.csv", counts, task.classes)
            _try(draw_confusion, folder / f"{stem}.png", counts, task.classes, title)


def _write_counts(path: Path, counts: np.ndarray, names: list[Any]) -> None:
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["true\\predicted", *names])
    writer.writerows([name, *row] for name, row in zip(names, counts.tolist(), strict=True))
    write_text(path, table.getvalue())


def _draw_bars(folder: Path, tasks: dict[str, Any], results: dict[str, Any]) -> None:
    """The main figure of every task that has several modalities, by modality and split."""
    panels: dict[str, dict[str, dict[str, float]]] = {}
    names = set()
    for name, task in tasks.items():
        splits = {split: by_task[name] for split, by_task in results.items() if name in by_task}
        if all(len(metrics) < 3 for metrics in splits.values()):  # "all" and one modality
            continue
        metric = main_metric(task, next(iter(splits.values())).get(ALL, {}))
        names.add(metric)
        panels[f"{name}: {metric.replace('_', ' ')} by modality"] = {
            split: {m: f[metric] for m, f in by_modality.items() if m != ALL and metric in f}
            for split, by_modality in splits.items()
        }
    if panels:
        limit = 1.0 if names <= set(SHARES) else None
        _try(draw_modalities, folder / "modalities.png", panels, limit)
