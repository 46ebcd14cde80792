"""Writes a page that puts runs side by side: settings that differ, curves, figures, time."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from unitf.analysis.report.charts import chart
from unitf.analysis.report.figure_sections import (
    figure_cell,
    line,
    metric_names,
    plain,
    rounded,
    worth_showing,
)
from unitf.analysis.report.markup import (
    Html,
    element,
    number,
    section,
    table,
    words,
    write_html,
)
from unitf.analysis.report.page_content import PageContent
from unitf.analysis.report.recorded_run import RecordedRun
from unitf.analysis.report.tried_samples import ALL
from unitf.training.durations import clock

OF_THE_COMMAND: tuple[str, ...] = (
    "out",
    "ckpt_path",
    "config",
    "report",
    "trainer.default_root_dir",
)

NOTHING: str = "–"  # where a run lacks what another has


class ComparedFigure(NamedTuple):
    """A figure of several runs.

    Args:
        split: the split that it is of.
        task: the task that it is of.
        metric: its name.
        values: one for each run; None: the run has no such figure.
        best: the number of the best run; None: it is not known what is better.
    """

    split: str
    task: str
    metric: str
    values: list[float | int | None]
    best: int | None


def write_comparison(runs: Sequence[RecordedRun], out: Path) -> Path:
    """Writes the page; returns its file."""
    names = names_of(runs)
    body = [
        element("h1", words(f"{len(runs)} runs compared")),
        _settings_section(runs, names),
        _curves_section(runs, names),
        *_figures_sections(runs, names),
        _cost_section(runs, names),
        element(
            "footer", words("Made by unitf from " + ", ".join(str(run.folder) for run in runs))
        ),
    ]
    return write_html(out, "Runs compared", "\n".join(body))


def names_of(runs: Sequence[RecordedRun]) -> list[str]:
    """Returns a name of each run: that of its folder, with its recipe if recipes differ."""
    recipes = {run.folder.resolve().parent for run in runs}
    return [run.name if len(recipes) > 1 else run.folder.resolve().name for run in runs]


def differences(runs: Sequence[RecordedRun]) -> dict[str, list[str]]:
    """Returns the settings that differ, by their keys: the value of each run as text."""
    flat = [dict(_flat(run.settings)) for run in runs]
    keys = dict.fromkeys(key for settings in flat for key in settings)
    values = {key: [settings.get(key, NOTHING) for settings in flat] for key in keys}
    return {
        key: texts
        for key, texts in values.items()
        if len(set(texts)) > 1 and key not in OF_THE_COMMAND
    }


def _flat(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Yields the keys of all single settings, with dots, and their values as text.

    A class has one spelling, whether a configuration names it in short or by its path.
    """
    if isinstance(value, Mapping) and isinstance(name := value.get("class_path"), str):
        value = {name: value.get("init_args") or {}}
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        value = dict(enumerate(value))
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            short = str(name).rpartition(".")[2]
            yield from _flat(item, f"{key}.{short}" if key else short)
    else:
        text = (
            value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        )
        yield key, text


def compared(runs: Sequence[RecordedRun]) -> list[ComparedFigure]:
    """Returns the most telling figure of each split and task."""
    contents = [PageContent(run) for run in runs]
    found: list[ComparedFigure] = []
    for split, task in _splits_and_tasks(runs):
        metric = next(c.monitor(task) for c in contents if task in c.run.figures.get(split, {}))
        values = [run.figures.get(split, {}).get(task, {}).get(ALL, {}).get(metric) for run in runs]
        modes = [mode for run in runs if (mode := run.modes.get(task))]
        found.append(ComparedFigure(split, task, metric, values, _best(values, modes)))
    return found


def _best(values: Sequence[float | int | None], modes: Sequence[str]) -> int | None:
    known = [(value, number) for number, value in enumerate(values) if value is not None]
    if len(known) < 2 or not modes:
        return None
    return (max if modes[0] == "max" else min)(known)[1]


def _splits_and_tasks(runs: Sequence[RecordedRun]) -> list[tuple[str, str]]:
    pairs = dict.fromkeys(
        (split, task) for run in runs for split, tasks in run.figures.items() for task in tasks
    )
    return sorted(pairs, key=lambda pair: not pair[0].startswith("test"))


def _settings_section(runs: Sequence[RecordedRun], names: Sequence[str]) -> Html:
    found = differences(runs)
    if not found:
        return section("Their recipes", element("p", "No setting differs."), id="settings")
    rows = [[words(key), *map(words, texts)] for key, texts in found.items()]
    whole = table(["key", *names], rows, num_words=1 + len(names))
    return section("What differs in their recipes", whole, id="settings")


def _curves_section(runs: Sequence[RecordedRun], names: Sequence[str]) -> Html:
    keys = {"train/loss": "Loss in training", "validation/loss": "Loss on validation"}
    for figure in compared(runs):
        if figure.metric != "loss":
            key = f"validation/{figure.task}/{figure.metric}"
            keys[key] = f"{figure.task}: {plain(figure.metric)} on validation"
    charts = [
        chart(
            title,
            [
                line(run.history, key, name, n)
                for n, (run, name) in enumerate(zip(runs, names, strict=True))
            ],
            "step",
        )
        for key, title in keys.items()
    ]
    drawn = "".join(charts)
    grid = element("div", drawn, class_="charts") if drawn else ""
    return section("How they learned", grid, id="curves")


def _figures_sections(runs: Sequence[RecordedRun], names: Sequence[str]) -> list[Html]:
    parts: list[Html] = []
    for figure in compared(runs):
        title = f"{figure.task}, {figure.split}"
        parts += [element("h3", words(title)), _figures(runs, names, figure)]
    if not parts:
        return []
    note = "Below a figure stands its 95 % interval, where the run has a page (unitf report RUN)."
    return [
        section("How good they are", *parts, element("p", words(note), class_="soft"), id="figures")
    ]


def _figures(runs: Sequence[RecordedRun], names: Sequence[str], figure: ComparedFigure) -> Html:
    split, task = figure.split, figure.task
    by_run = [worth_showing(run.figures.get(split, {}).get(task, {})) for run in runs]
    modalities = list(dict.fromkeys(m for by_modality in by_run for m in by_modality))
    metrics = metric_names(
        [m for by_modality in by_run for m in by_modality.values()], figure.metric
    )
    rows: list[list[Html]] = []
    for modality in modalities:
        for n, (run, name) in enumerate(zip(runs, names, strict=True)):
            values = by_run[n].get(modality, {})
            found = run.intervals.get(split, {}).get(task, {}).get(modality, {})
            cells = [figure_cell(values.get(metric), found.get(metric)) for metric in metrics]
            if n == figure.best and modality == ALL:
                cells[0] = element("span", cells[0], class_="best")
            rows.append([words(name), *([words(modality)] if modalities[1:] else []), *cells])
    headings = ["run", *(["read"] if modalities[1:] else []), *map(plain, metrics)]
    return table(headings, rows, num_words=len(headings) - len(metrics))


def _cost_section(runs: Sequence[RecordedRun], names: Sequence[str]) -> Html:
    rows = [
        [words(name), *map(words, costs(run).values())]
        for run, name in zip(runs, names, strict=True)
    ]
    headings = ["run", *costs(runs[0])]
    return section("Time and memory", table(headings, rows), id="cost")


def costs(run: RecordedRun) -> dict[str, str]:
    """Returns what a run took, in words."""
    training, memory = run.training, run.page.get("peak_memory")
    parameters = run.metrics.get("parameters")
    total = parameters.get("total") if isinstance(parameters, dict) else None
    speed = training.get("samples_per_second")
    return {
        "parameters": NOTHING if total is None else rounded(float(total)),
        "training": clock(training["seconds"]) if "seconds" in training else NOTHING,
        "steps": f"{int(training['steps']):,}" if "steps" in training else NOTHING,
        "samples/s": NOTHING if speed is None else number(float(speed)),
        "memory": f"{memory / 2**30:.2f} GiB" if isinstance(memory, int) else NOTHING,
    }
