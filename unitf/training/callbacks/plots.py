"""The pictures that a run draws: curves, confusion matrices, and metrics by modality."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypedDict

import numpy as np

from unitf.checkpoints.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:  # matplotlib takes long to import; only annotations need the names
    Axes = Figure = object

COLOURS = ("#3b6fb6", "#e07b39", "#4a9d6b", "#b5476b", "#7d62b0", "#8c6d4f", "#2ba3a8", "#6b7280")
GREY = "#6b7280"

Row: TypeAlias = Mapping[str, float]  # one point of the curves: epoch, step, and logged metrics


class CurveStyle(TypedDict, total=False):
    """The style of a curve, as matplotlib's `plot` takes it."""

    color: str
    linestyle: str
    linewidth: float
    marker: str


Curve: TypeAlias = tuple[str, str, CurveStyle]  # the key in a row, the label, and the style


def draw_curves(path: Path, history: Sequence[Row], panels: Mapping[str, Sequence[Curve]]) -> None:
    """Draws a panel for each title in `panels`, with a line for each curve that has points."""
    from matplotlib.figure import Figure

    drawn = {
        title: [line for line in lines if any(line[0] in row for row in history)]
        for title, lines in panels.items()
    }
    drawn = {title: lines for title, lines in drawn.items() if lines}
    axis = "epoch" if history and history[-1]["epoch"] >= 2 else "step"
    figure = Figure(figsize=(5.2 * max(len(drawn), 1), 4.6), layout="constrained")
    for number, (title, lines) in enumerate(drawn.items(), start=1):
        axes = figure.add_subplot(1, len(drawn), number)
        for key, label, style in lines:
            points = [(row[axis], row[key]) for row in history if key in row]
            style: CurveStyle = {"linewidth": 1.8, **style}
            if len(points) < 3:
                style["marker"] = "o"
            axes.plot(*zip(*points, strict=True), label=label, **style)
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_xlabel(axis)
        _tidy(axes)
        _legend(axes, columns=min(len(lines), 2))
    _save(figure, path)


def draw_confusion(path: Path, counts: np.ndarray, names: Iterable[object], title: str) -> None:
    """Draws the fraction of each true class (a row) that was predicted as each class (a column).

    Args:
        counts: the confusion matrix (classes × classes).
        names: the names of the classes.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    labels = [_shortened(str(name)) for name in names]
    size = len(labels)
    fractions = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = float(np.clip(0.24 * size + 2.2, 5.0, 24.0))
    font = 9 if size <= 30 else 7
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.add_subplot()
    # the square root makes a fraction of 1 % visible
    picture = axes.imshow(fractions, cmap="Blues", norm=PowerNorm(0.5, 0, 1))
    ticks = np.arange(size)
    upright = size > 12 or max(map(len, labels)) > 5
    axes.set_xticks(ticks, labels, rotation=90 if upright else 0, fontsize=font)
    axes.set_yticks(ticks, labels, fontsize=font)
    lines = {"color": "white", "linewidth": 0.6}
    axes.hlines(ticks[1:] - 0.5, -0.5, size - 0.5, **lines)
    axes.vlines(ticks[1:] - 0.5, -0.5, size - 0.5, **lines)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title, loc="left", fontweight="bold")
    if size <= 20:
        for row, column in zip(*np.nonzero(counts), strict=True):
            fraction = fractions[row, column]
            text = f"{100 * fraction:.0f}" if fraction >= 0.005 else "·"
            colour = "white" if fraction > 0.4 else "#1f2937"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    bar = figure.colorbar(picture, ax=axes, shrink=0.6, aspect=30, pad=0.015)
    bar.set_ticks(
        [0, 0.01, 0.1, 0.25, 0.5, 1], labels=["0", "1 %", "10 %", "25 %", "50 %", "100 %"]
    )
    bar.outline.set_visible(False)  # type: ignore[operator]
    _save(figure, path, dpi=150 if size <= 30 else 110)


def draw_modalities(
    path: Path, panels: Mapping[str, Mapping[str, Mapping[str, float]]], limit: float | None
) -> None:
    """Draws a panel for each title, with bars by modality in the colour of their split.

    Args:
        panels: title → split → modality → value of the metric.
        limit: the largest value that the metrics can have, if it is known.
    """
    from matplotlib.figure import Figure

    widths = [2.2 + 0.62 * sum(map(len, splits.values())) for splits in panels.values()]
    figure = Figure(figsize=(max(sum(widths), 4.6), 3.8), layout="constrained")
    grid = figure.add_gridspec(1, len(panels), width_ratios=widths)
    for number, (title, splits) in enumerate(panels.items()):
        axes = figure.add_subplot(grid[0, number])
        names = list(dict.fromkeys(name for metrics in splits.values() for name in metrics))
        width = 0.8 / len(splits)
        for split_index, (split, metrics) in enumerate(splits.items()):
            centres: list[float] = []
            for name in metrics:  # the bars of a modality are centred on its tick
                having = [other for other, measured in splits.items() if name in measured]
                shift = having.index(split) - (len(having) - 1) / 2
                centres.append(names.index(name) + shift * width)
            bars = axes.bar(
                centres,
                list(metrics.values()),
                width * 0.92,
                label=split,
                color=COLOURS[split_index % 8],
            )
            axes.bar_label(bars, fmt="%.3f", fontsize=8, padding=2, color="#374151")
        axes.set_xticks(range(len(names)), names)
        axes.tick_params(axis="x", length=0)
        if limit is not None:
            axes.set_ylim(0, limit * 1.08)
        else:
            axes.margins(y=0.12)
        axes.set_title(title, loc="left", fontweight="bold")
        _tidy(axes)
        axes.grid(visible=False, axis="x")
        if len(splits) > 1:
            _legend(axes, columns=len(splits))
    _save(figure, path)


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#9ca3af")
    axes.grid(color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors="#374151")


def _legend(axes: Axes, columns: int) -> None:
    """Draws a legend below the axes, where it hides nothing."""
    axes.legend(
        frameon=False,
        fontsize=9,
        ncols=columns,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.13),
    )


def _shortened(name: str) -> str:
    return name if len(name) <= 32 else f"{name[:31]}…"


def _save(figure: Figure, path: Path, dpi: int = 150) -> None:
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=dpi, facecolor="white")
