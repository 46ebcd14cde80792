"""The parts of a page about figures: in large, as a table, and as curves over the training."""

from collections.abc import Sequence

from unitf.analysis.report.charts import ChartLine, chart
from unitf.analysis.report.markup import Html, element, number, section, table, words
from unitf.analysis.report.page_content import PageContent
from unitf.analysis.report.recorded_run import Metrics
from unitf.analysis.report.tried_samples import ALL
from unitf.training.durations import clock

HIDDEN: tuple[str, ...] = ("num_samples", "temperature")
_LESS = "uncalibrated_"  # what figures begin with that only explain others


def headline(content: PageContent) -> Html:
    """Returns the most important numbers of a run in large."""
    tiles = [_tile(content, split, task) for split, task in _headings(content)][:4]
    run = content.run
    if samples := sum(content.counts.get("train", {}).values()):
        tiles.append(_large("learned from", f"{samples:,}", "training samples"))
    if total := _parameters(content):
        tiles.append(_large("parameters", rounded(total), f"{total:,}"))
    if run.training:
        steps, speed = run.training.get("steps", 0), run.training.get("samples_per_second", 0)
        note = f"{int(steps):,} steps, {speed:,.0f} samples/s"
        tiles.append(_large("training", clock(run.training.get("seconds", 0.0)), note))
    return element("dl", "".join(tiles), class_="headline")


def rounded(count: float | int) -> str:
    """Returns a large number in short: 646,906 is 647k."""
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.3g}{name}"
    return f"{count:g}"


def _parameters(content: PageContent) -> int:
    parameters = content.run.metrics.get("parameters")
    return int(parameters.get("total", 0)) if isinstance(parameters, dict) else 0


def _headings(content: PageContent) -> list[tuple[str, str]]:
    """Returns pairs (split, task): those of the tests, or else those of validation."""
    figures = content.run.figures
    splits = [split for split in figures if split.startswith("test")] or list(figures)
    return [(split, task) for split in splits for task in figures[split]]


def _tile(content: PageContent, split: str, task: str) -> Html:
    metric, metrics = content.monitor(task), content.run.figures[split][task].get(ALL, {})
    if not isinstance(value := metrics.get(metric), float | int):
        return ""
    several = len({t for _, t in _headings(content)}) > 1
    title = f"{task}: {plain(metric)}, {split}" if several else f"{plain(metric)}, {split}"
    found = content.intervals.get(split, {}).get(task, {}).get(ALL, {}).get(metric)
    number_of = content.num_samples(split, metrics)
    count = "" if number_of is None else f"{number_of:,} samples"
    between = "" if found is None else f"95 %: {number(found[0])} to {number(found[1])}"
    return _large(title, number(value), "; ".join(filter(None, (between, count))))


def _large(title: str, value: str, note: str) -> Html:
    parts = element("dt", words(title)) + element("dd", words(value), class_="value")
    return element("div", parts + element("dd", words(note), class_="note"))


def plain(metric: str) -> str:
    """Returns the name of a metric in words."""
    return metric.replace("_", " ")


def figures_section(content: PageContent) -> Html:
    """Returns all figures by split, task and modality, with their intervals."""
    parts: list[Html] = []
    tasks = dict.fromkeys(t for by_task in content.run.figures.values() for t in by_task)
    for task in tasks:
        heading = element("h3", words(task)) if len(tasks) > 1 else ""
        parts += [heading, _figures_of(content, task)]
    notes = "".join(element("p", words(note), class_="soft") for note in content.interval_notes)
    return section("How good it is", *parts, notes if any(parts) else "", id="figures")


def _figures_of(content: PageContent, task: str) -> Html:
    rows = [
        (split, modality, metrics)
        for split in content.splits
        for modality, metrics in worth_showing(content.run.figures[split].get(task, {})).items()
    ]
    names = metric_names([metrics for *_, metrics in rows], content.monitor(task))
    by_modality = any(modality != ALL for _, modality, _ in rows)
    headings = ["split", *(["read"] if by_modality else []), "samples", *map(plain, names)]
    cells: list[list[Html]] = []
    for split, modality, metrics in rows:
        first = [words(split), *([words(modality)] if by_modality else [])]
        count = content.num_samples(split, metrics)
        first.append("" if count is None else f"{count:,}")
        found = content.intervals.get(split, {}).get(task, {}).get(modality, {})
        cells.append([*first, *(figure_cell(metrics.get(n), found.get(n)) for n in names)])
    return table(headings, cells, num_words=1 + by_modality)


def worth_showing(by_modality: dict[str, Metrics]) -> dict[str, Metrics]:
    """Returns figures by modality; of a single modality those over all samples."""
    if len(by_modality) == 2 and ALL in by_modality:
        return {ALL: by_modality[ALL]}
    return by_modality


def metric_names(rows: Sequence[Metrics], first: str) -> list[str]:
    """Returns the names of the figures that are worth a column; the most telling is `first`."""
    names = dict.fromkeys([first, *(name for metrics in rows for name in metrics)])
    numbers = [
        name
        for name in names
        if name not in HIDDEN
        and not name.startswith(_LESS)
        and any(isinstance(metrics.get(name), float | int) for metrics in rows)
    ]
    return sorted(numbers, key=lambda name: (name != first, name == "loss"))


def figure_cell(value: float | int | None, interval: Sequence[float] | None) -> Html:
    """Returns a figure, with its interval below it."""
    if not isinstance(value, float | int):
        return ""
    if interval is None:
        return words(number(value))
    ends = " – ".join(number(end) for end in interval)
    return words(number(value)) + element("small", words(ends))


def curves_section(content: PageContent) -> Html:
    """Returns the curves of the training, with its best point marked."""
    run = content.run
    keys = list(dict.fromkeys(key for point in run.history for key in point))
    step, epoch = run.best.get("step"), run.best.get("epoch")
    mark = None
    if isinstance(step, int | float):
        mark = (float(step), f"best: step {int(step):,}")
    losses = [line(run.history, "train/loss", "training", 7, "dashed")]
    losses.append(line(run.history, "validation/loss", "validation", 0))
    charts = [chart("Loss", losses, "step", mark=mark)]
    for task in dict.fromkeys(t for by_task in run.figures.values() for t in by_task):
        charts.append(_metric_chart(content, task, keys, mark))
    text = ""
    if mark is not None:
        value, monitor = run.best.get("value"), str(run.best.get("monitor"))
        at = f", in epoch {epoch + 1}" if isinstance(epoch, int) else ""
        shown = f" of {number(value)}" if isinstance(value, float | int) else ""
        text = (
            f"The model that was kept is that of step {int(mark[0]):,}{at}: "
            f"it has the best {monitor.replace('/', ' ')}{shown}."
        )
    drawn = "".join(charts)
    grid = element("div", drawn, class_="charts") if drawn else ""
    return section("How it learned", element("p", words(text)) if text else "", grid, id="curves")


def _metric_chart(
    content: PageContent, task: str, keys: Sequence[str], mark: tuple[float, str] | None
) -> Html:
    metric, history = content.monitor(task), content.run.history
    if metric == "loss":
        return ""
    prefix = f"validation/{task}/"
    parts = [k for k in keys if k.startswith(prefix) and k.endswith(f"/{metric}")]
    parts = [key for key in parts if key.count("/") == 3]
    lines = [line(history, f"{prefix}{metric}", "all" if parts[1:] else "", 0)]
    for colour, key in enumerate(parts if parts[1:] else [], start=1):
        lines.append(line(history, key, key.split("/")[2], colour))
    return chart(f"{task}: {plain(metric)} on validation", lines, "step", mark=mark)


def line(
    history: Sequence[Metrics], key: str, label: str, colour: int, style: str = "line"
) -> ChartLine:
    """Returns the curve of one metric."""
    points = [(point["step"], point[key]) for point in history if key in point]
    return ChartLine(label, [x for x, _ in points], [y for _, y in points], colour, style)
