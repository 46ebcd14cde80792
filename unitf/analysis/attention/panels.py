"""Draws the panels of attention, with matplotlib."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float, UInt8

from unitf.analysis.attention.token_groups import TokenGroup
from unitf.tokenizer.canvas import Canvas

if TYPE_CHECKING:  # matplotlib takes long to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Panel = tuple[str, Float[np.ndarray, " N"]]  # title, and a weight for each token
Square = tuple[str, Float[np.ndarray, "Lq Lk"]]  # title, and a weight for each pair
HEAT: tuple[float, float, float] = (0.95, 0.36, 0.0)  # over a grey picture
LINE: int = 76  # characters in a line of words


def draw_matrix(
    panels: Sequence[Square], rows: Sequence[str], columns: Sequence[str], across: str, down: str
) -> "Figure":
    """Draws words against words; each panel is shaded from 0 to its largest weight."""
    width, height = (0.26 * len(names) + 1.4 for names in (columns, rows))
    figure, grid = _figure(len(panels), width, height)
    for axes, (title, weights) in zip(grid, panels, strict=False):
        axes.imshow(weights, cmap="Blues", vmin=0, aspect="auto")
        axes.set_xticks(range(len(columns)), map(_plain, columns), rotation=90, fontsize=9)
        axes.set_yticks(range(len(rows)), map(_plain, rows), fontsize=9)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xlabel(across, color="#6b7280", fontsize=9)
        axes.set_ylabel(down, color="#6b7280", fontsize=9)
        axes.tick_params(length=0)
        axes.spines[:].set_color("#d1d5db")
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    return figure


def draw_picture(part: TokenGroup, panels: Sequence[Panel]) -> "Figure":
    """Draws the picture that tokens are parts of, and again in grey under the weights."""
    canvas = part.canvas
    assert canvas is not None
    height, width = canvas.pixels.shape[:2]
    wide = width > 2 * height
    stretches = any(canvas.axes)  # the axes have different units, as in a spectrogram
    tall = 0.75 if stretches else min(height / width, 2)
    size = (7.0, 2.6) if wide else (3.0, 3.0 * tall + 0.4)
    figure, grid = _figure(1 + len(panels), *size, columns=1 if wide else None)
    stretches |= max(height, width) > 2 * min(height, width)
    aspect: Literal["auto", "equal"] = "auto" if stretches else "equal"
    interpolation = "nearest" if max(height, width) < 128 else "antialiased"
    _show(grid[0], canvas.pixels, aspect, interpolation)
    grid[0].set_title(_plain(part.name), loc="left", fontsize=10, fontweight="bold")
    for axes, (title, weights) in zip(grid[1:], panels, strict=True):
        _show(axes, grey(canvas.pixels), aspect, interpolation)
        axes.imshow(overlay(canvas, weights), aspect=aspect, interpolation="nearest")
        axes.set_title(_plain(title), loc="left", fontsize=10, fontweight="bold")
        label = f"{weights.min():.2g} to {weights.max():.2g}"
        axes.set_xlabel(label, loc="right", color="#6b7280", fontsize=8)
    grid[0].set_xlabel(canvas.axes[0], color="#6b7280", fontsize=8)
    for axes in grid:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_ylabel(canvas.axes[1], color="#6b7280", fontsize=8)
        axes.spines[:].set_visible(False)
    return figure


def _show(
    axes: "Axes", pixels: np.ndarray, aspect: Literal["auto", "equal"], interpolation: str
) -> None:
    if pixels.ndim == 2:
        axes.imshow(
            pixels, aspect=aspect, interpolation=interpolation, cmap="gray", vmin=0, vmax=255
        )
    else:
        axes.imshow(pixels, aspect=aspect, interpolation=interpolation)


def grey(pixels: UInt8[np.ndarray, "H W *C"]) -> UInt8[np.ndarray, "H W"]:
    """Returns a picture in grey."""
    if pixels.ndim == 2:
        return pixels
    return (pixels @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)


def overlay(canvas: Canvas, weights: Float[np.ndarray, " N"]) -> Float[np.ndarray, "H W 4"]:
    """Colours the box of each token by its weight; the smallest weight is transparent."""
    opacities = (weights - weights.min()) / max(float(np.ptp(weights)), 1e-9)
    colours = np.zeros((*canvas.pixels.shape[:2], 4), np.float32)
    colours[..., :3] = HEAT
    for (left, top, right, bottom), opacity in zip(
        canvas.boxes.astype(int), opacities, strict=True
    ):
        box = colours[top:bottom, left:right, 3]
        np.maximum(box, 0.85 * opacity, out=box)
    return colours


def draw_words(part: TokenGroup, panels: Sequence[Panel]) -> "Figure":
    """Draws the words of a column in their order, each on the colour of its weight."""
    lines = _lines(part.names)
    figure, grid = _figure(len(panels), 7.5, 0.34 * len(lines) + 0.5, columns=1)
    for axes, (title, weights) in zip(grid, panels, strict=False):
        shades = (weights / max(float(weights.max()), 1e-9)).tolist()
        for row, line in enumerate(lines):
            for number, left, width in line:
                word = _plain(part.names[number])
                _draw_word(axes, word, shades[number], left, width, row)
        axes.set_xlim(0, LINE)
        axes.set_ylim(len(lines), 0)
        axes.axis("off")
        axes.set_title(f"{part.name}: {title}", loc="left", fontsize=10, fontweight="bold")
    return figure


def _draw_word(axes: "Axes", word: str, weight: float, left: float, width: float, row: int) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    colour = colormaps["Blues"](0.85 * weight)
    axes.add_patch(Rectangle((left, row + 0.08), width - 0.3, 0.84, facecolor=colour))
    axes.text(
        left + (width - 0.3) / 2,
        row + 0.5,
        word,
        color="white" if weight > 0.6 else "#111827",
        family=["DejaVu Sans Mono"],
        fontsize=9,
        ha="center",
        va="center",
    )


def _lines(names: Sequence[str]) -> list[list[tuple[int, float, float]]]:
    """Returns the (number, left, width) of each word, line by line."""
    lines: list[list[tuple[int, float, float]]] = [[]]
    left = 0.0
    for number, name in enumerate(names):
        width = len(_plain(name)) + 1.0
        if left + width > LINE and lines[-1]:
            lines.append([])
            left = 0.0
        lines[-1].append((number, left, width))
        left += width
    return lines


def draw_table(panels: Sequence[Square], rows: Sequence[str], columns: Sequence[str]) -> "Figure":
    """Draws weights between columns, each also written into its cell."""
    figure, grid = _figure(len(panels), 1.0 * len(columns) + 1.6, 0.7 * len(rows) + 1.2)
    for axes, (title, table) in zip(grid, panels, strict=False):
        axes.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(columns)), columns, fontsize=9)
        axes.set_yticks(range(len(rows)), rows, fontsize=9)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
        axes.set_ylabel("looks at …", color="#6b7280", fontsize=9)
        for (row, column), weight in np.ndenumerate(table):
            colour = "white" if weight > 0.5 else "#1f2937"
            text = f"{100 * weight:.0f} %"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    return figure


def _figure(
    count: int, width: float, height: float, columns: int | None = None
) -> "tuple[Figure, list[Axes]]":
    """Makes a figure of `count` panels; `width` and `height` of each are in inches."""
    from matplotlib.figure import Figure

    fitting = max(1, int(20 // width))
    columns = columns or min(count, fitting, math.ceil(math.sqrt(count * 1.6)))
    rows = -(-count // columns)
    columns = -(-count // rows)  # the last row as full as it can be
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    grid = [figure.add_subplot(rows, columns, number + 1) for number in range(count)]
    return figure, grid


def _plain(name: str) -> str:
    """Returns a name that fits, and that matplotlib does not read as a formula."""
    short = " ".join(name.split()) or name
    return (short if len(short) <= 24 else f"{short[:23].rstrip()}…").replace("$", r"\$")
