"""Shows raw values on a page: pictures, players, texts, curves, cells."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from unitf.analysis.data_urls import data_url, picture_url
from unitf.analysis.report.charts import SMALL, ChartLine, chart
from unitf.analysis.report.markup import Html, element, table, words
from unitf.batch import Sample
from unitf.tasks.task import Prediction, Task
from unitf.tokenizer.shown import Curves, Media, Shown, described
from unitf.tokenizer.tokenizer import Tokenizer

MOST_CELLS: int = 14  # of a row of a table
MOST_CURVES: int = 8
LONGEST: int = 600  # characters of a text


def inputs_of(task: Task, tokenizers: Mapping[str, Tokenizer], sample: Sample) -> Html:
    """Returns the inputs of a task that a sample has, as a person sees them."""
    present = [(c, name) for c, name in task.inputs.items() if sample.get(c) is not None]
    parts = [value_of_column(c, tokenizers[name], sample[c]) for c, name in present]
    if len(task.inputs) == 1:
        return "".join(parts)
    labelled = zip(present, parts, strict=True)
    return "".join(
        element("div", element("div", words(column), class_="column") + part)
        for (column, _), part in labelled
    )


def value_of_column(column: str, tokenizer: Tokenizer, value: object) -> Html:
    """Returns a raw value as its tokenizer shows it; if that fails, the reason.

    Args:
        column: the name of its column, for people who cannot see it.
    """
    try:
        shown = tokenizer.show(value)
        heard = isinstance(shown, Media) and not shown.media_type.startswith("image/")
        return shown_html(shown, column) + (_read(tokenizer, value, column) if heard else "")
    except Exception as error:  # of a plugin, or of a file that is gone
        reason = " ".join(str(error).split())
        return element("p", words(f"cannot be shown: {reason}"[:300]), class_="soft")


def _read(tokenizer: Tokenizer, value: object, column: str) -> Html:
    """Returns a picture of the tokens of what is heard or watched, if they have one."""
    canvas = tokenizer.canvas(tokenizer.encode(value))
    if canvas is None:
        return ""
    return element(
        "img", src=picture_url(canvas.pixels), alt=f"{column}, as it is read", class_="read"
    )


def shown_html(shown: Shown, label: str) -> Html:
    """Returns what a tokenizer shows as HTML."""
    if isinstance(shown, Media):
        return _media(shown, label)
    if isinstance(shown, Curves):
        return _curves(shown, label)
    if isinstance(shown, Mapping):
        rows = [(words(name), words(_cut(cell))) for name, cell in shown.items()]
        more = [("…", words(f"{len(rows) - MOST_CELLS} more"))] if len(rows) > MOST_CELLS else []
        return table((), [*rows[:MOST_CELLS], *more], num_words=2)
    return element("blockquote", words(_cut(str(shown))))


def text_of(value: object) -> str:
    """Returns a target, or a part of a prediction, in words."""
    shown = _counted(value) or described(value)
    if isinstance(shown, Mapping):
        return ", ".join(f"{name} {cell}" for name, cell in shown.items())
    return str(shown)


def _counted(value: object) -> str:
    """Returns how many objects of each class there are; empty: these are no objects."""
    if isinstance(value, Mapping) and {"labels", "boxes"} <= value.keys():
        labels = [str(label) for label in value["labels"]]
    elif isinstance(value, list) and all(
        isinstance(one, Mapping) and "label" in one for one in value
    ):
        labels = [str(one["label"]) for one in value]
    else:
        return ""
    return (
        ", ".join(f"{count} {label}" for label, count in Counter(labels).most_common()) or "nothing"
    )


def prediction_text(prediction: Prediction) -> str:
    """Returns what a task says of a sample in words: its label, or all it says by name."""
    if "label" in prediction:
        probability = prediction.get("probability")
        sure = f" ({100 * probability:.0f} %)" if isinstance(probability, float) else ""
        return f"{prediction['label']}{sure}"
    if len(prediction) == 1:
        return _cut(text_of(next(iter(prediction.values()))))
    return _cut("; ".join(f"{name}: {text_of(value)}" for name, value in prediction.items()))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def _media(media: Media, label: str) -> Html:
    kind = media.media_type.partition("/")[0]
    data = data_url(media.content, media.media_type)
    if kind == "image":
        return element("img", src=data, alt=label)
    if kind in ("audio", "video"):
        return element(kind, src=data, controls="", preload="metadata", aria_label=label)
    return element("p", words(f"{len(media.content):,} bytes of {media.media_type}"), class_="soft")


def _curves(curves: Curves, label: str) -> Html:
    values = curves.values
    chosen = np.unique(np.linspace(0, values.shape[1] - 1, MOST_CURVES).round().astype(int))
    steps = np.arange(len(values))
    lines = [
        ChartLine(curves.names[c] if curves.names else "", steps, values[:, c], n)
        for n, c in enumerate(chosen)
    ]
    more = f", {len(chosen)} of {values.shape[1]} curves" if len(chosen) < values.shape[1] else ""
    return chart(f"{label}{more}", lines, "step", size=SMALL)
