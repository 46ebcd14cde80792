"""Draws charts as SVG within a page, in the colours of its style."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unitf.analysis.report.markup import Html, element, words

Size = tuple[int, int]  # width and height of a chart, in units of about a pixel
USUAL: Size = (440, 250)
SMALL: Size = (260, 140)  # within a card
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 20, 36  # the margins of its frame
NUM_COLOURS: int = 8  # of the style


@dataclass(frozen=True, eq=False)
class ChartLine:
    """One curve of a chart.

    Args:
        label: its name in the legend; empty: it has none.
        x: where its points are, …
        y: … and how high; NaN leaves a gap.
        colour: the number of its colour.
        style: "line", "dashed", "dots", or "faint".
    """

    label: str
    x: Sequence[float | int] | np.ndarray
    y: Sequence[float | int] | np.ndarray
    colour: int = 0
    style: str = "line"


@dataclass(frozen=True, eq=False)
class ChartBand:
    """The area between two curves.

    Args:
        label: its name in the legend.
        x: where its points are.
        low: the lower curve.
        high: the upper curve.
        colour: the number of its colour.
    """

    label: str
    x: np.ndarray
    low: np.ndarray
    high: np.ndarray
    colour: int = 0

    @property
    def edges(self) -> list[ChartLine]:
        """Both curves, which the frame must have room for."""
        return [ChartLine("", self.x, side) for side in (self.low, self.high)]


@dataclass(frozen=True)
class Axes:
    """The frame of a chart: which numbers are where.

    Args:
        x: the numbers at its left and at its right.
        y: the numbers at its bottom and at its top.
        size: of the chart.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    size: Size = USUAL

    @property
    def right(self) -> int:
        """Where the frame ends at the right."""
        return self.size[0] - RIGHT

    @property
    def bottom(self) -> int:
        """Where the frame ends below."""
        return self.size[1] - BOTTOM

    def at(self, x: float | int, y: float | int) -> tuple[float, float]:
        """Returns the place of a point."""
        (x0, x1), (y0, y1) = self.x, self.y
        across = (x - x0) / (x1 - x0) * (self.right - LEFT)
        up = (y - y0) / (y1 - y0) * (self.bottom - TOP)
        return round(LEFT + across, 1), round(self.bottom - up, 1)


def chart(
    title: str,
    lines: Sequence[ChartLine],
    x_label: str,
    y_label: str = "",
    mark: tuple[float, str] | None = None,
    bounds: tuple[tuple[float, float], tuple[float, float]] | None = None,
    diagonal: bool = False,
    size: Size = USUAL,
    band: ChartBand | None = None,
) -> Html:
    """Returns a chart of lines or dots, with its legend; nothing if there is no point.

    Args:
        mark: where along x a vertical line stands, and what it says.
        bounds: the ends of both axes; None: those of the points.
        diagonal: whether a line shows where y is x.
        size: of the chart.
        band: an area behind the lines.
    """
    lines = [line for line in lines if np.isfinite(np.asarray(line.y, float)).any()]
    if not lines:
        return ""
    seen = [*lines, *(band.edges if band is not None else [])]
    axes = Axes(*(bounds or (_bounds(seen, "x"), _bounds(seen, "y", pad=0.05))), size)
    parts = [_grid(axes, x_label, y_label)]
    if diagonal:
        low, high = max(axes.x[0], axes.y[0]), min(axes.x[1], axes.y[1])
        parts.append(_path([axes.at(low, low), axes.at(high, high)], "dashed faint"))
    parts += [_marked(axes, *mark)] if mark is not None else []
    parts += [_area(axes, band)] if band is not None else []
    parts += [_drawn(axes, line) for line in lines]
    legend = [(line.label, line.colour, line.style) for line in lines]
    legend += [(band.label, band.colour, "band")] if band is not None else []
    return framed(title, parts, legend, size)


def framed(
    title: str,
    parts: Sequence[Html],
    legend: Sequence[tuple[str, int, str]] = (),
    size: Size = USUAL,
) -> Html:
    """Returns a figure with its title, the parts of an SVG, and a legend."""
    box = f"0 0 {size[0]} {size[1]}"
    svg = element("svg", "".join(parts), viewBox=box, role="img", aria_label=title)
    named = [entry for entry in dict.fromkeys(legend) if entry[0]]
    entries = "".join(
        element("span", words(label), class_=f"key k{colour % NUM_COLOURS} {style}")
        for label, colour, style in named
    )
    below = element("div", entries, class_="legend") if len(named) > 1 else ""
    return element("figure", element("figcaption", words(title)) + svg + below, class_="chart")


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Returns about `count` round numbers from low to high."""
    from matplotlib.ticker import MaxNLocator

    found = MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    margin = 1e-9 * (high - low)
    return [float(tick) for tick in found if low - margin <= tick <= high + margin]


def _bounds(lines: Sequence[ChartLine], axis: str, pad: float = 0.0) -> tuple[float, float]:
    numbers = np.concatenate([np.asarray(getattr(line, axis), float) for line in lines])
    numbers = numbers[np.isfinite(numbers)]
    low, high = float(numbers.min()), float(numbers.max())
    if low == high:
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    return low - pad * (high - low), high + pad * (high - low)


def _grid(axes: Axes, x_label: str, y_label: str) -> Html:
    parts: list[Html] = []
    count = 5 if axes.size == USUAL else 3
    for tick in ticks(*axes.y, count):
        _, y = axes.at(axes.x[0], tick)
        parts.append(element("line", x1=LEFT, x2=axes.right, y1=y, y2=y, class_="grid"))
        parts.append(_text(_short(tick), LEFT - 6, y + 4, "end"))
    for tick in ticks(*axes.x, count):
        x, _ = axes.at(tick, axes.y[0])
        parts.append(_text(_short(tick), x, axes.bottom + 15, "middle"))
    parts.append(_text(x_label, (LEFT + axes.right) / 2, axes.size[1] - 4, "middle", "label"))
    if y_label:
        middle = (TOP + axes.bottom) / 2
        turned = f"rotate(-90 10 {middle})"
        parts.append(_text(y_label, 10, middle, "middle", "label", turned))
    return "".join(parts)


def _short(tick: float) -> str:
    size = abs(tick)
    if size >= 10_000:
        return f"{tick / 1e6:g}M" if size >= 1e6 else f"{tick / 1e3:g}k"
    return f"{tick:.6g}".replace("-", "−")


def _text(
    text: str,
    x: float | int,
    y: float | int,
    anchor: str,
    kind: str = "tick",
    transform: str | None = None,
) -> Html:
    where = {"x": x, "y": y, "text_anchor": anchor, "transform": transform}
    return element("text", words(text), class_=kind, **where)


def _drawn(axes: Axes, line: ChartLine) -> Html:
    colour = f"c{line.colour % NUM_COLOURS}"
    x, y = np.asarray(line.x, float), np.asarray(line.y, float)
    known = np.isfinite(x) & np.isfinite(y)
    if line.style == "dots" or known.sum() < 2:
        size = 3.5 if known.sum() <= 60 else 2.2
        points = [axes.at(float(x[n]), float(y[n])) for n in np.flatnonzero(known)]
        dots = "".join(element("circle", cx=a, cy=b, r=size) for a, b in points)
        return element("g", dots, class_=f"dots {colour}")
    breaks = np.flatnonzero(np.diff(known.astype(int)) < 0) + 1
    pieces = np.split(np.arange(len(x)), breaks)
    paths = [[axes.at(float(x[n]), float(y[n])) for n in piece if known[n]] for piece in pieces]
    return "".join(_path(points, f"{line.style} {colour}") for points in paths if points)


def _area(axes: Axes, band: ChartBand) -> Html:
    """Returns the area of a band, where both of its ends are known."""
    known = np.flatnonzero(np.isfinite(band.low) & np.isfinite(band.high))
    there = [axes.at(float(band.x[n]), float(band.high[n])) for n in known]
    back = [axes.at(float(band.x[n]), float(band.low[n])) for n in known[::-1]]
    points = " ".join(f"{x},{y}" for x, y in [*there, *back])
    return element("polygon", points=points, class_=f"band c{band.colour % NUM_COLOURS}")


def _path(points: Sequence[tuple[float, float]], kind: str) -> Html:
    return element("polyline", points=" ".join(f"{x},{y}" for x, y in points), class_=kind)


def _marked(axes: Axes, x: float, label: str) -> Html:
    if not axes.x[0] <= x <= axes.x[1]:
        return ""
    place, _ = axes.at(x, axes.y[0])
    line = element("line", x1=place, x2=place, y1=TOP - 4, y2=axes.bottom, class_="mark")
    near_end = place > (LEFT + axes.right) / 2
    return line + _text(label, place, TOP - 8, "end" if near_end else "start", "note")
