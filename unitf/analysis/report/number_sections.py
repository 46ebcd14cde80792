"""The parts of a page about predicted numbers: predicted against true, and forecasts."""

from collections.abc import Sequence

import numpy as np

from unitf.analysis.report.charts import ChartBand, ChartLine, chart
from unitf.analysis.report.markup import Html, element, section, words
from unitf.analysis.report.page_content import PageContent
from unitf.analysis.report.tried_samples import TriedSample
from unitf.tokenizer.shown import Curves

MOST_POINTS: int = 1_500
MOST_CHANNELS: int = 3
QUANTILES: tuple[tuple[str, float], ...] = (
    ("A good forecast, better than 90 % of those tried", 0.1),
    ("A usual forecast, in the middle of those tried", 0.5),
    ("A bad forecast, worse than 90 % of those tried", 0.9),
)


def numbers_section(content: PageContent) -> Html:
    """Returns charts of predicted against true numbers, or of predicted and true series."""
    parts: list[Html] = []
    for name in content.tasks:
        samples = content.tried_samples(name)
        pairs = [(sample, pair) for sample in samples if (pair := sample.numbers()) is not None]
        if not pairs:
            continue
        if len(content.tasks) > 1:
            parts.append(element("h3", words(name)))
        if pairs[0][1][0].ndim == 2:
            parts.append(_forecasts(content, name, [sample for sample, _ in pairs]))
        else:
            parts.append(_scatter(name, [pair for _, pair in pairs]))
    return section("Predicted and true", *parts, id="numbers")


def _scatter(task: str, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Html:
    """Returns a dot for each number: right above true; on the diagonal they are equal."""
    predicted = [np.atleast_1d(pair[0]) for pair in pairs]
    right = [np.atleast_1d(pair[1]) for pair in pairs]
    size = min(len(numbers) for numbers in predicted)
    lines = [
        ChartLine(
            f"number {n + 1}" if size > 1 else "",
            np.array([numbers[n] for numbers in right])[:MOST_POINTS],
            np.array([numbers[n] for numbers in predicted])[:MOST_POINTS],
            n,
            "dots",
        )
        for n in range(min(size, 8))
    ]
    both = np.concatenate([*predicted, *right])
    pad = 0.03 * float(np.ptp(both)) or 1.0
    ends = (float(both.min()) - pad, float(both.max()) + pad)
    title = f"{task}: {len(pairs):,} samples tried"
    drawn = chart(title, lines, "true", "predicted", None, (ends, ends), diagonal=True)
    return element("div", drawn, class_="charts")


def _forecasts(content: PageContent, name: str, samples: Sequence[TriedSample]) -> Html:
    """Returns a good, a usual and a bad forecast, each with some of its channels."""
    ordered = sorted(samples, key=_error)
    rows: list[Html] = []
    for kind, quantile in QUANTILES:
        sample = ordered[round(quantile * (len(ordered) - 1))]
        heading = f"{kind}: {sample.origin}"
        charts = _channels(sample, _past(content, name, sample))
        rows += [element("h3", words(heading)), element("div", charts, class_="charts")]
    return "".join(rows)


def _error(sample: TriedSample) -> float:
    predicted, right = sample.numbers() or (np.zeros(1), np.zeros(1))
    return float(np.nan_to_num(np.nanmean((predicted - right) ** 2)))


def _past(content: PageContent, name: str, sample: TriedSample) -> Curves | None:
    """Returns the input that came before the forecast, if its tokenizer shows it as curves."""
    for column, tokenizer in content.tasks[name].inputs.items():
        shown = content.tokenizers[tokenizer].show(sample.sample[column])
        if isinstance(shown, Curves):
            return shown
    return None


def _channels(sample: TriedSample, past: Curves | None) -> Html:
    pair = sample.numbers()
    assert pair is not None
    predicted, right = pair
    band = sample.band()
    count = right.shape[1]
    chosen = np.unique(np.linspace(0, count - 1, MOST_CHANNELS).round().astype(int))
    ahead = np.arange(1, len(right) + 1)
    charts: list[Html] = []
    for channel in chosen:
        lines: list[ChartLine] = []
        named = f"channel {channel + 1}"
        if past is not None and past.values.shape[1] == count:
            recent = past.values[-2 * len(right) :, channel]
            lines.append(ChartLine("past", np.arange(1 - len(recent), 1), recent, 7))
            named = past.names[channel] if past.names else named
        filling = None
        if band is not None:
            low, high, name = band
            filling = ChartBand(name, ahead, low[:, channel], high[:, channel], 1)
        lines.append(ChartLine("true", ahead, right[:, channel], 0))
        lines.append(ChartLine("forecast", ahead, predicted[:, channel], 1))
        charts.append(chart(named, lines, "steps ahead", band=filling))
    return "".join(charts)
