"""The parts of a page about classes: what is confused, how honest the confidence is."""

from collections.abc import Sequence

import numpy as np

from unitf.analysis.report.charts import (
    LEFT,
    TOP,
    Axes,
    ChartLine,
    chart,
    framed,
)
from unitf.analysis.report.markup import Html, breakable, element, number, section, table, words
from unitf.analysis.report.page_content import PageContent
from unitf.analysis.report.tried_samples import ALL, TriedSample

MOST_CLASSES: int = 20  # of a matrix with numbers
MOST_PAIRS: int = 10
NUM_BINS: int = 15  # of equal width, as the metric `ece` has
FEWEST: int = 20  # samples of a reliability diagram


def confusion_section(content: PageContent) -> Html:
    """Returns the confusion matrix of each task with classes, and what is confused most."""
    parts: list[Html] = []
    split = next(iter(content.splits), "test")
    for task in dict.fromkeys(t for by_task in content.run.figures.values() for t in by_task):
        if (found := content.run.confusion(task)) is None or not found[1].any():
            continue
        names, counts = found
        title = f"{task}, {split}: each row is a true class, each column what it was taken for"
        drawn = _numbers(names, counts) if len(names) <= MOST_CLASSES else _picture(names, counts)
        both = element("div", drawn) + element("div", _pairs(names, counts))
        parts += [element("p", words(title), class_="soft"), element("div", both, class_="beside")]
    return section("What it confuses", *parts, id="confusion")


def _numbers(names: Sequence[str], counts: np.ndarray) -> Html:
    """Returns a matrix as a table; its colours are the shares of each true class."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    upright = max(map(len, names)) > 4
    head = "".join(
        element("th", element("span", words(name), class_="upright" if upright else None))
        for name in names
    )
    rows = [
        element("th", words(name), scope="row", title=name)
        + "".join(
            _cell(int(count), float(share), row == column)
            for column, (count, share) in enumerate(zip(counts[row], shares[row], strict=True))
        )
        for row, name in enumerate(names)
    ]
    body = "".join(element("tr", row) for row in rows)
    whole = element("thead", element("tr", element("th") + head)) + element("tbody", body)
    return element("div", element("table", whole, class_="matrix"), class_="wide")


def _cell(count: int, share: float, is_right: bool) -> Html:
    kinds = [*(["right"] if is_right else []), *(["strong"] if share > 0.55 else [])]
    tone = f"--part: {100 * share**0.5:.0f}%"  # the root makes a share of 1 % visible
    return element("td", str(count) if count else "", class_=" ".join(kinds) or None, style=tone)


def _picture(names: Sequence[str], counts: np.ndarray) -> Html:
    """Returns a matrix of many classes as a picture; a class's name is a hint of the browser."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    whole = 400
    side = whole / len(names)
    frame = element("rect", x=0, y=0, width=whole, height=whole, class_="ground")
    cells = [
        element(
            "rect",
            element("title", words(f"{names[row]} as {names[column]}: {counts[row, column]}")),
            x=round(column * side, 2),
            y=round(row * side, 2),
            width=round(side, 2),
            height=round(side, 2),
            class_="bar full c0" if row == column else "bar full c1",
            fill_opacity=round(max(0.15, float(shares[row, column]) ** 0.5), 2),
        )
        for row, column in zip(*np.nonzero(counts), strict=True)
    ]
    title = f"{len(names)} classes, in their order"
    return framed(title, [frame, *cells], size=(whole, whole))


def _pairs(names: Sequence[str], counts: np.ndarray) -> Html:
    """Returns the pairs of classes that were confused most."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_PAIRS]
    pairs = [divmod(int(index), len(names)) for index in order]
    rows = [
        [
            breakable(names[row]),
            breakable(names[column]),
            f"{wrong[row, column]:,}",
            f"{100 * wrong[row, column] / max(counts[row].sum(), 1):.0f} %",
        ]
        for row, column in pairs
        if wrong[row, column]
    ]
    if not rows:
        return element("p", "Every sample was put into its class.")
    return table(["true class", "taken for", "times", "of the class"], rows, num_words=2)


def reliability_section(content: PageContent) -> Html:
    """Returns how often predictions of some confidence were right."""
    parts: list[Html] = []
    for task in content.tasks:
        judged = [
            (sample.confidence, sample.is_right)
            for sample in content.tried_samples(task)
            if sample.is_right is not None and sample.confidence is not None
        ]
        if len(judged) >= FEWEST:
            parts.append(_reliability(content, task, np.array(judged, float)))
    if not parts:
        return ""
    text = (
        "On the diagonal the confidence is honest: of all predictions with a probability of 80 %, "
        "80 % are right. Below it the model is too sure of itself, above it too modest. The bars "
        "show how many predictions have each confidence."
    )
    grid = element("div", "".join(parts), class_="charts")
    return section("How sure it is", element("p", words(text)), grid, id="reliability")


def _reliability(content: PageContent, task: str, judged: np.ndarray) -> Html:
    confidence, right = judged[:, 0], judged[:, 1]
    bins = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    sizes = np.bincount(bins, minlength=NUM_BINS)
    used = np.flatnonzero(sizes)
    mean = np.array([confidence[bins == n].mean() for n in used])
    share = np.array([right[bins == n].mean() for n in used])
    error = float((sizes[used] * abs(mean - share)).sum() / len(judged))
    several = len(content.tasks) > 1
    measured = _measured_error(content, task)
    said = f"calibration error {number(error if measured is None else measured)}"
    title = f"{task}: {said}" if several else said[0].upper() + said[1:]
    bounds = ((0.0, 1.0), (0.0, 1.0))
    lines = [ChartLine("", mean, share, 0)]
    drawn = chart(title, lines, "confidence", "share right", None, bounds, diagonal=True)
    axes = Axes(*bounds)
    bars = _bars(axes, sizes / max(sizes.max(), 1)) + _dots(axes, mean, share, sizes[used])
    return drawn.replace("</svg>", f"{bars}</svg>", 1)


def _measured_error(content: PageContent, task: str) -> float | None:
    """Returns the calibration error over the whole split, if one split was tried."""
    splits = [split for split, by_task in content.tried.items() if by_task[task].samples]
    if len(splits) != 1:
        return None
    value = content.run.figures.get(splits[0], {}).get(task, {}).get(ALL, {}).get("ece")
    return value if isinstance(value, float) else None


def _bars(axes: Axes, heights: np.ndarray) -> Html:
    width = (axes.right - LEFT) / len(heights)
    floor, room = axes.bottom, 0.25 * (axes.bottom - TOP)
    return "".join(
        element(
            "rect",
            x=round(axes.at(n / len(heights), 0)[0] + 1, 1),
            y=round(floor - room * height, 1),
            width=round(width - 2, 1),
            height=round(room * height, 1),
            class_="bar",
        )
        for n, height in enumerate(heights)
        if height
    )


def _dots(axes: Axes, x: np.ndarray, y: np.ndarray, sizes: np.ndarray) -> Html:
    """Returns a dot for each bin, the larger the more samples it has."""
    radii = 2.5 + 5 * np.sqrt(sizes / max(sizes.max(), 1))
    places = [axes.at(float(a), float(b)) for a, b in zip(x, y, strict=True)]
    dots = "".join(
        element("circle", cx=a, cy=b, r=round(float(radius), 1))
        for (a, b), radius in zip(places, radii, strict=True)
    )
    return element("g", dots, class_="dots c0")


def worst(samples: Sequence[TriedSample], count: int) -> list[TriedSample]:
    """Returns the worst mistakes: confident and wrong, or else of the largest loss."""
    wrong = [sample for sample in samples if sample.is_right is False]
    if any(sample.is_right is not None for sample in samples):
        return sorted(wrong, key=lambda sample: -(sample.confidence or 0.0))[:count]
    measured = [sample for sample in samples if sample.loss is not None]
    return sorted(measured, key=lambda sample: -(sample.loss or 0.0))[:count]
