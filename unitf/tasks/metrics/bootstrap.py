"""95 % intervals of any metrics, by the bootstrap over groups of samples."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

Interval = tuple[float, float]  # its lower and its upper end
_Reduction = Callable[[Tensor], Tensor]  # of the states of several processes to one
FEWEST: int = 30  # repeats; with fewer there are no intervals


def bootstrap(
    groups: Sequence[MetricCollection],
    scale: float = 1.0,
    repeats: int = 200,
    seconds: float = 3.0,
    seed: int = 0,
) -> tuple[dict[str, float], dict[str, Interval]]:
    """Returns the metrics over all groups, and the 95 % interval of each one that is a number.

    Groups are drawn with replacement, and the metrics computed over what was drawn, again and
    again (Efron and Tibshirani, 1993). What a metric has summed or kept of its samples is joined as
    it is over processes, so that this works for every metric that works in several processes.

    Args:
        groups: the same metrics, each updated with another part of the samples. They all have
            about the same number of samples.
        scale: the factor of the intervals: √(n/N) for figures over N samples, n of them in groups.
        repeats: how often groups are drawn.
        seconds: after this time no more are drawn.
        seed: of the drawing.
    """
    seen, size, drawing = _Seen(groups), len(groups), np.random.default_rng(seed)
    whole = _numbers(seen.computed(np.arange(size)))
    drawn: list[dict[str, float]] = []
    end = time.monotonic() + seconds
    while size > 1 and len(drawn) < repeats and time.monotonic() < end:
        drawn.append(_numbers(seen.computed(drawing.integers(size, size=size))))
    if len(drawn) < FEWEST:
        return whole, {}
    return whole, {
        name: _interval([one[name] for one in drawn if name in one], value, scale)
        for name, value in whole.items()
        if sum(name in one for one in drawn) >= FEWEST
    }


def _interval(drawn: Sequence[float], whole: float, scale: float) -> Interval:
    low, high = np.percentile(drawn, (2.5, 97.5)).tolist()
    return whole + (low - whole) * scale, whole + (high - whole) * scale


class _Seen:
    """What groups of samples have left in their metrics."""

    def __init__(self, groups: Sequence[MetricCollection]) -> None:
        self.metrics: MetricCollection = groups[0].clone()
        everywhere = zip(
            self.metrics.modules(), *(group.modules() for group in groups), strict=True
        )
        self._states: list[tuple[Metric, str, Tensor | list[list[Tensor]]]] = [
            (modules[0], name, _stacked([getattr(metric, name) for metric in modules[1:]]))
            for modules in everywhere
            if isinstance(modules[0], Metric)
            for name in modules[0]._reductions
        ]

    def computed(self, drawn: np.ndarray) -> Mapping[str, object]:
        """Returns the metrics over the groups of these numbers, joined as processes are."""
        for metric, name, values in self._states:
            if isinstance(values, list):
                joined = [each for number in drawn for each in values[number]]
            else:
                chosen = values[torch.from_numpy(drawn)]
                reduction = cast("_Reduction | None", metric._reductions[name])
                joined = chosen if reduction is None else reduction(chosen)
            setattr(metric, name, joined)
            metric._update_count, metric._computed = len(drawn), None
        return self.metrics.compute()


def _stacked(values: Sequence[Tensor] | Sequence[list[Tensor]]) -> Tensor | list[list[Tensor]]:
    """Returns the state of each group: stacked, or as lists of what they have kept."""
    lists = [value for value in values if isinstance(value, list)]
    if not lists:
        return torch.stack(cast("list[Tensor]", list(values)))
    return [[torch.cat(value)] if len(value) > 1 else value for value in lists]


def _numbers(values: Mapping[str, object]) -> dict[str, float]:
    """Returns those metrics that are one finite number."""
    numbers = {
        name: float(value)
        for name, value in values.items()
        if not isinstance(value, Tensor) or value.numel() == 1
        if isinstance(value, Tensor | float | int)
    }
    return {name: value for name, value in numbers.items() if np.isfinite(value)}
