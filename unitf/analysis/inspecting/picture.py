"""Draws a packed batch: its columns, their positions, and the attention masks."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from jaxtyping import Float

from unitf.analysis.inspecting.masks import MASKED, Mask, paint
from unitf.analysis.inspecting.packed import LEARNED, PackedBatch
from unitf.checkpoints.atomic import replacing
from unitf.training.callbacks.plots import COLOURS, GREY

if TYPE_CHECKING:  # matplotlib takes long to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase, SubFigure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

WIDTH: float = 11.0  # inches
MOST_MASKS: int = 3
MOST_BORDERS: int = 300  # with more sequences, no lines are drawn between them
NEAR: int = 110  # how many tokens of the first sequences are drawn large, …
FEWEST: int = 2  # … or so many sequences, …
WIDEST: int = 400  # … if they have no more tokens than this
SIDE: float = 3.7  # inches of a mask


def draw(path: Path, matrices: Sequence[PackedBatch], title: str) -> None:
    """Draws the matrices of one batch, except empty ones, into a PNG file."""
    from matplotlib.figure import Figure

    matrices = [packed for packed in matrices if packed.num_tokens]
    masks = _masks(matrices)
    heights = [0.75 + 0.62 * packed.positions.shape[0] for packed in matrices]
    rows = 1 if len(masks) == 1 else 2
    below = (rows * SIDE + 0.6 * (rows == 1)) if masks else 0.1
    figure = Figure(figsize=(WIDTH, sum(heights) + below + 1.1), layout="constrained")
    layout = cast("ConstrainedLayoutEngine", figure.get_layout_engine())
    layout.set(h_pad=0.06, w_pad=0.06)
    ratios = [*heights, below]
    parts = cast(
        "Sequence[SubFigure]", figure.subfigures(len(matrices) + 1, 1, height_ratios=ratios)
    )
    for number, (part, packed) in enumerate(zip(parts, matrices, strict=False)):
        _draw_columns(part, packed, last=number == len(matrices) - 1)
    _draw_masks(parts[-1], masks)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    _legend(figure, matrices, masks)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, facecolor="white")


def palette(packed: PackedBatch) -> Float[np.ndarray, "C 3"]:
    """Returns the colour of each column's tokens."""
    from matplotlib.colors import to_rgb

    shown = iter(COLOURS[:-1] * (1 + len(packed.names) // 7))
    return np.array([to_rgb(GREY if name == LEARNED else next(shown)) for name in packed.names])


def _draw_columns(figure: "SubFigure", packed: PackedBatch, last: bool) -> None:
    """Draws a matrix as spans in the colours of its columns, and the positions below it."""
    axes_count = packed.positions.shape[0]
    ratios = [0.5, *[0.62] * axes_count]
    grid = cast(
        "Sequence[Axes]", figure.subplots(1 + axes_count, 1, sharex=True, height_ratios=ratios)
    )
    colours, borders = palette(packed), packed.starts
    shades = colours[packed.columns]
    odd = np.repeat(np.arange(len(packed.lengths)) % 2 == 1, packed.lengths)
    shades[odd] = 1 - 0.62 * (1 - shades[odd])  # adjacent sequences differ, even if they are thin
    count = packed.num_tokens
    grid[0].imshow(
        shades[None], aspect="auto", extent=(0, count, 0, 1), interpolation="nearest", zorder=0
    )
    if len(packed.lengths) <= MOST_BORDERS:
        grid[0].vlines(borders[1:-1], 0, 1, color="white", linewidth=0.7)
    grid[0].set_yticks([0.5], [f"D = {packed.dim}"])
    title = f"{packed.name}: {count:,} columns of {len(packed.lengths):,} sequences"
    grid[0].set_title(title, loc="left", fontsize=9, color="#374151")
    for axis, axes in enumerate(grid[1:]):
        _draw_positions(axes, packed, axis, colours)
        axes.set_ylabel("position" if axes_count == 1 else f"position,\naxis {axis}", fontsize=8)
    for axes in grid:
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, labelsize=8, colors="#374151")
        axes.set_xlim(0, count)
    if last:
        grid[-1].set_xlabel("column (token)", fontsize=8, color=GREY)


def _draw_positions(axes: "Axes", packed: PackedBatch, axis: int, colours: np.ndarray) -> None:
    """Draws a dot for each token that has a position along this axis."""
    left, size = np.arange(packed.num_tokens) + 0.5, np.clip(800 / packed.num_tokens, 1.0, 2.1)
    for number in np.unique(packed.columns):
        if axis < packed.num_axes[packed.names[int(number)]]:
            of_column = packed.columns == number
            axes.plot(
                left[of_column],
                packed.positions[axis][of_column],
                color=colours[number],
                marker="s",
                markersize=size,
                markeredgewidth=0,
                linewidth=0,
            )
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(y=0.15)


def _masks(matrices: Sequence[PackedBatch]) -> list[Mask]:
    """Returns the masks to draw; of equal ones in several passes only the first."""
    masks: dict[tuple[str, str, str], Mask] = {}
    for packed in matrices:
        for attention in packed.attentions:
            keys = packed if attention.kind == "self" else packed.memory
            if keys is not None and keys.num_tokens:
                key = packed.name, attention.kind, attention.sees
                masks.setdefault(key, Mask(packed, keys, attention))
    ordered = sorted(masks.values(), key=lambda mask: mask.attention.kind == "cross")
    return ordered[:MOST_MASKS]


def _draw_masks(figure: "FigureBase", masks: Sequence[Mask]) -> None:
    """Draws each mask as a whole, and enlarged for its first sequences."""
    if not masks:
        return
    single = len(masks) == 1
    grid = figure.subplots(*((1, 2) if single else (2, len(masks))), squeeze=False)
    for number, mask in enumerate(masks):
        whole, enlarged = (grid[0, 0], grid[0, 1]) if single else grid[:, number]
        colours = palette(mask.keys)
        image = paint(mask, range(len(mask.queries.lengths)), colours)
        _show(whole, image, mask.queries.num_tokens, mask.keys.num_tokens)
        whole.set_title(mask.title, loc="left", fontsize=9, color="#374151")
        _draw_enlarged(enlarged, mask, colours)
    for axes in grid.flat:
        axes.tick_params(length=0, labelsize=8, colors="#374151")
        axes.spines[:].set_color("#d1d5db")


def _draw_enlarged(axes: "Axes", mask: Mask, colours: np.ndarray) -> None:
    """Draws the first sequences, large enough to see each token."""
    starts = mask.queries.starts, mask.keys.starts
    # the tokens of the first 0, 1, … sequences
    longest = [int(max(first)) for first in zip(*starts, strict=True)]
    last = max(1, sum(length <= NEAR for length in longest) - 1)
    if last < FEWEST < len(longest) and longest[FEWEST] <= WIDEST:
        last = FEWEST
    shown = [min(int(start[last]), WIDEST) for start in starts]
    image = paint(mask, range(last), colours, most=longest[last])
    _show(axes, image[: shown[0], : shown[1]], *shown)
    for sequence in range(1, last):
        axes.axhline(starts[0][sequence], color="#d1d5db", linewidth=0.5, zorder=1)
        axes.axvline(starts[1][sequence], color="#d1d5db", linewidth=0.5, zorder=1)
    title = f"the first {last} sequences" if last > 1 else "the first sequence"
    title += f", {WIDEST} tokens of it" if longest[last] > WIDEST else ""
    title += "\ncoloured by the token that is looked at"
    axes.set_title(title, loc="left", fontsize=9, color="#374151")


def _show(axes: "Axes", image: np.ndarray, rows: int, columns: int) -> None:
    extent = (0, columns, rows, 0)
    # zorder: behind the lines between sequences
    axes.imshow(image, extent=extent, interpolation="nearest", aspect="auto", zorder=0)
    axes.set_box_aspect(1)
    axes.set_xlabel("token that is looked at", fontsize=8, color=GREY)
    axes.set_ylabel("token that looks", fontsize=8, color=GREY)


def _legend(figure: "Figure", matrices: Sequence[PackedBatch], masks: Sequence[Mask]) -> None:
    from matplotlib.patches import Patch

    handles: dict[str, Patch] = {}
    for packed in matrices:
        colours = palette(packed)
        for number in np.unique(packed.columns):
            name = packed.names[int(number)]
            label = "learned column" if name == LEARNED else name
            handles.setdefault(name, Patch(color=tuple(colours[number]), label=label))
    shown = list(handles.values())
    if any(mask.attention.sees_less for mask in masks):
        shown.append(Patch(color=MASKED, label="masked in its own sequence"))
    if masks:
        edge = "#d1d5db"
        label = "another sequence: never seen"
        shown.append(Patch(facecolor="white", edgecolor=edge, label=label))
    figure.legend(
        handles=shown, loc="outside lower left", ncols=min(len(shown), 6), frameon=False, fontsize=9
    )
