"""The parts of a page that show samples: what was learned from, and the worst mistakes."""

from collections.abc import Mapping, Sequence
from itertools import takewhile

import numpy as np

from unitf.analysis.data_urls import data_url
from unitf.analysis.report.class_sections import worst
from unitf.analysis.report.markup import Html, breakable, element, number, section, table, words
from unitf.analysis.report.page_content import PageContent
from unitf.analysis.report.shown_values import inputs_of, prediction_text, text_of
from unitf.analysis.report.tried_samples import TriedSample
from unitf.tasks.task import Task
from unitf.tokenizer.tokenizer import Tokenizer

MOST_MISTAKES: int = 12
MOST_SAID: int = 6
MOST_LETTERS: int = 120  # of the names of classes that are listed
MOST_NUMBERS: int = 8  # of a target that is written out


def introduction(content: PageContent) -> Html:
    """Returns in plain words what the model is, what it reads and what it predicts."""
    if content.model is None:
        return ""
    core = content.model.config
    text = f"A Transformer of {core.depth} blocks and width {core.dim}."
    told = [_task_text(name, task, content.tokenizers) for name, task in content.tasks.items()]
    lines = [text, *told]
    return "".join(element("p", words(line), class_="lead") for line in lines)


def _task_text(name: str, task: Task, tokenizers: Mapping[str, Tokenizer]) -> str:
    reads = [f"{c} ({type(tokenizers[used]).__name__})" for c, used in task.inputs.items()]
    kind = type(task).__name__
    said = f"{name} ({kind}): it reads {_listed(reads, 'or')}"
    if task.target is None:
        return f"{said}."
    classes: list[object] | None = getattr(task, "classes", None)
    if not isinstance(classes, list):
        return f"{said}, and predicts {task.target}."
    texts = list(takewhile(_Room(MOST_LETTERS), map(str, classes)))
    more = f" and {len(classes) - len(texts):,} more" if len(texts) < len(classes) else ""
    names = f": {', '.join(texts)}{more}" if texts else ""
    return f"{said}, and says which {task.target} it is, of {len(classes):,}{names}."


class _Room:
    """Says of one text after the other whether there is still room for it.

    Args:
        letters: how many there is room for.
    """

    def __init__(self, letters: int) -> None:
        self.letters: int = letters

    def __call__(self, text: str) -> bool:
        self.letters -= len(text) + 2
        return self.letters >= 0


def _listed(parts: list[str], last: str) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def data_section(content: PageContent) -> Html:
    """Returns how many samples each split has, and a few training samples as people see them."""
    splits = [split for split in content.counts if content.counts[split]]
    sources = list(dict.fromkeys(name for split in splits for name in content.counts[split]))
    rows = [
        [words(name), *(_count(content.counts[split].get(name)) for split in splits)]
        for name in sources
    ]
    if len(sources) > 1:
        totals = [f"{sum(content.counts[split].values()):,}" for split in splits]
        rows.append(["together", *totals])
    counts = table(["samples of", *splits], rows) if rows else ""
    cards = [
        _card(content, task, sample, name)
        for name, samples in content.examples.items()
        for sample in samples
        if (task := _reader(content.tasks, sample)) is not None
    ]
    shown = element("div", "".join(cards), class_="samples") if cards else ""
    return section("What it learned from", counts, shown, id="data")


def _count(number_of: int | None) -> Html:
    return "–" if number_of is None else f"{number_of:,}"


def _reader(tasks: Mapping[str, Task], sample: Mapping[str, object]) -> Task | None:
    return next((task for task in tasks.values() if task.accepts(dict(sample))), None)


def _card(content: PageContent, task: Task, sample: Mapping[str, object], source: str) -> Html:
    inputs = inputs_of(task, content.tokenizers, dict(sample))
    right = None if task.target is None else sample.get(task.target)
    is_short = right is not None and np.asarray(right, object).size <= MOST_NUMBERS
    said = _said([(str(task.target), text_of(right), "")]) if is_short else ""
    several = len(content.examples) > 1
    origin = element("div", words(source), class_="origin") if several else ""
    return element("div", inputs + said + origin, class_="sample")


def _said(rows: list[tuple[str, str, str]]) -> Html:
    """Returns lines of a name and a text, each text in its class of the style."""
    lines = "".join(
        element("div", element("span", words(n)) + element("span", breakable(t), class_=k or None))
        for n, t, k in rows
    )
    return element("div", lines, class_="said")


def mistakes_section(content: PageContent) -> Html:
    """Returns the worst mistakes; of a task whose mistakes are not known, some of what it said."""
    parts: list[Html] = []
    has_mistakes = False
    for name, task in content.tasks.items():
        samples = content.tried_samples(name)
        if not samples or _is_drawn(samples):
            continue
        found = worst(samples, MOST_MISTAKES)
        has_mistakes |= bool(found)
        judged = [sample for sample in samples if sample.is_right is not None]
        wrong = sum(not sample.is_right for sample in judged)
        if judged:
            text = f"Of {len(judged):,} samples tried, {wrong:,} were taken for another class."
            text += " The most confident mistakes come first." if found else ""
        elif found:
            text = f"Of {len(samples):,} samples tried, those of the largest loss come first."
        else:
            found = samples[:MOST_SAID]
            text = "Some samples, and what the model said of them."
        heading = element("h3", words(name)) if len(content.tasks) > 1 else ""
        cards = "".join(_tried_card(content, task, sample) for sample in found)
        parts += [heading, element("p", words(text))]
        parts += [element("div", cards, class_="samples")] if cards else []
    return section(
        "Its worst mistakes" if has_mistakes else "What it says",
        *parts,
        id="mistakes",
    )


def _is_drawn(samples: Sequence[TriedSample]) -> bool:
    """Returns whether what is predicted are many numbers, which charts show."""
    pair = samples[0].numbers()
    return pair is not None and pair[0].size > MOST_NUMBERS


def _tried_card(content: PageContent, task: Task, sample: TriedSample) -> Html:
    inputs = _picture(content, task, sample) or inputs_of(task, content.tokenizers, sample.sample)
    right = sample.is_right
    kind = "" if right is None else "right" if right else "wrong"
    rows = [("said", prediction_text(sample.prediction), kind)]
    if sample.target is not None:
        rows.append(("true", text_of(sample.target), ""))
    if right is None and sample.loss is not None:
        rows.append(("loss", number(sample.loss), ""))
    origin = element("div", words(sample.origin[-60:]), class_="origin", title=sample.name)
    return element("div", inputs + _said(rows) + origin, class_="sample")


def _picture(content: PageContent, task: Task, sample: TriedSample) -> Html:
    """Returns the picture that a task draws of what it found and missed; empty: it draws none."""
    try:
        files = task.prediction_files(sample.prediction, sample.sample, content.tokenizers)
    except Exception:  # of a file that is gone; the inputs then say so
        return ""
    if "picture" not in files or files["picture"][0] != ".png":
        return ""
    source = data_url(files["picture"][1], "image/png")
    return element("img", src=source, alt="what was found and missed")
