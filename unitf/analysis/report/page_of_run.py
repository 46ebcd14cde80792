"""Writes the page of a run: what was learned from what, how well, and how to go on."""

import json
from collections.abc import Sequence
from pathlib import Path

from unitf.analysis.report.class_sections import confusion_section, reliability_section
from unitf.analysis.report.figure_sections import curves_section, figures_section, headline
from unitf.analysis.report.intervals import measure_intervals
from unitf.analysis.report.markup import Html, element, words, write_html
from unitf.analysis.report.number_sections import numbers_section
from unitf.analysis.report.page_content import PageContent
from unitf.analysis.report.recorded_run import PAGE_DATA, RecordedRun
from unitf.analysis.report.run_sections import (
    cost_section,
    next_section,
    recipe_section,
    versions_section,
)
from unitf.analysis.report.sample_sections import data_section, introduction, mistakes_section
from unitf.analysis.report.tried_samples import SampleTrier, drawn
from unitf.batch import Sample
from unitf.checkpoints.atomic import write_text
from unitf.data.sample_dataset import SampleDataset
from unitf.model import Model
from unitf.training import DataModule

LONGEST: float = 20.0  # seconds of the bootstrap
MOST_EXAMPLES: int = 8  # training samples that are shown
NAME: str = "report.html"


def write_report(
    folder: Path,
    model: Model | None = None,
    data: DataModule | None = None,
    samples: int = 2_000,
    seconds: float = float("inf"),
    peak_memory: int | None = None,
    notices: Sequence[str] = (),
    out: Path | None = None,
) -> Path:
    """Writes the page of a run, and what it measured to report.json.

    Figures, curves and settings are those that the run has left in its folder. Mistakes, the
    reliability diagram and most intervals need a pass over some samples of the tests, or else of
    validation, which are drawn by chance.

    Args:
        folder: the folder of the run.
        model: its best model; None: the page has no samples.
        data: the samples that it learned from; None: the page has no samples.
        samples: of how many samples the pass is at most.
        seconds: how long the pass and the bootstrap may take, each about half of it.
        peak_memory: the most bytes that the training used.
        notices: what a reader must know first.
        out: the file; None: report.html in the folder.

    Returns:
        The file.
    """
    run = RecordedRun(folder)
    content = PageContent(run, model, notices=list(notices))
    kept = run.page.get("peak_memory")
    content.peak_memory = peak_memory or (kept if isinstance(kept, int) else None)
    if data is not None:
        _read_samples(content, data)
    if model is not None and data is not None and samples:
        _try_samples(content, model, data, samples, seconds / 2)
    measure_intervals(content, min(LONGEST, seconds / 2))
    _keep(content)
    return write_html(out or folder / NAME, f"{run.name}: report", _body(content))


def _read_samples(content: PageContent, data: DataModule) -> None:
    """Adds the numbers of samples and some examples to a page."""
    for split in ("train", "validation", *data.test_splits):
        found = data.lasting_samples(split)
        content.counts[split] = {name: len(samples) for name, samples in found.items()}
    if content.model is None:
        return
    sources = data.lasting_samples("train")
    trier = SampleTrier(content.model)
    for name, samples in sources.items():
        count = max(2, -(-MOST_EXAMPLES // len(sources)))
        dataset = SampleDataset("train", {name: samples})
        items = (trier.prepared(dataset[number]) for number in drawn(dataset.counts, 6 * count))
        content.examples[name] = _different(
            content, [i.sample for i in items if not i.error], count
        )


def _different(content: PageContent, samples: Sequence[Sample], count: int) -> list[Sample]:
    """Returns some of the samples, with as many different targets as there are."""
    targets = [task.target for task in content.tasks.values() if task.target is not None]
    seen: set[str] = set()
    first: list[Sample] = []
    others: list[Sample] = []
    for sample in samples:
        target = str([sample.get(name) for name in targets])
        (others if target in seen else first).append(sample)
        seen.add(target)
    return [*first, *others][:count]


def _try_samples(
    content: PageContent, model: Model, data: DataModule, samples: int, seconds: float
) -> None:
    """Tries the model on the tests, or else on validation."""
    splits = [s for s in (*data.test_splits, "validation") if data.lasting_samples(s)]
    tests = [split for split in splits if split != "validation"]
    trier = SampleTrier(model)
    for split in tests or splits[:1]:
        parts = max(1, len(tests))
        content.tried[split] = trier.split(
            split, data.lasting_samples(split), max(1, samples // parts), seconds / parts
        )


def _keep(content: PageContent) -> None:
    """Writes what later pages need of this one."""
    kept = {
        "monitors": {name: task.monitor for name, task in content.tasks.items()}
        or content.run.monitors,
        "modes": {name: task.mode for name, task in content.tasks.items()} or content.run.modes,
        "intervals": content.intervals or content.run.intervals,
        "peak_memory": content.peak_memory,
    }
    write_text(content.run.folder / PAGE_DATA, json.dumps(kept, indent=1) + "\n")


def _body(content: PageContent) -> Html:
    notices = [element("p", words(notice), class_="warning") for notice in content.notices]
    footer = f"Made by unitf {content.run.versions.get('unitf', '')} from {content.run.folder}"
    return "\n".join(
        [
            element("h1", words(content.run.name)),
            *notices,
            introduction(content),
            headline(content),
            data_section(content),
            curves_section(content),
            figures_section(content),
            confusion_section(content),
            reliability_section(content),
            numbers_section(content),
            mistakes_section(content),
            cost_section(content),
            recipe_section(content),
            versions_section(content),
            next_section(content),
            element("footer", words(footer)),
        ]
    )
