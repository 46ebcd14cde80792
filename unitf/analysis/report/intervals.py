"""Measures how far chance may have moved the figures of a run: their 95 % intervals."""

import math

from unitf.analysis.report.page_content import PageContent
from unitf.analysis.report.recorded_run import Metrics
from unitf.analysis.report.tried_samples import ALL, TriedSplit
from unitf.tasks.classification import Classification
from unitf.tasks.metrics.bootstrap import Interval, bootstrap

WILSON: str = "accuracy"  # the figure of a Classification that is a share of its samples


def measure_intervals(content: PageContent, seconds: float | int) -> None:
    """Adds the intervals of all figures, and how they were measured, to a page.

    A share of samples has Wilson's interval, which needs no sample. All other figures have one by
    the bootstrap over the samples that were tried; if those are n of N, it is scaled by √(n/N).

    Args:
        seconds: how long the bootstrap may take.
    """
    used: set[str] = set()
    parts = max(1, sum(len(by_task) for by_task in content.tried.values()))
    for split, by_task in content.run.figures.items():
        for task, by_modality in by_task.items():
            tried = content.tried.get(split, {}).get(task)
            for modality, metrics in by_modality.items():
                share = seconds / parts / (1 if modality == ALL else len(by_modality))
                found = {} if tried is None else _bootstrapped(tried, modality, metrics, share)
                used |= {"bootstrap"} if found else set()
                if isinstance(content.tasks.get(task), Classification):
                    wilson = _wilson(metrics)
                    found |= wilson
                    used |= {"wilson"} if wilson else set()
                if found:
                    of_task = content.intervals.setdefault(split, {}).setdefault(task, {})
                    of_task[modality] = {**found}
    content.interval_notes += _notes(content, used)


def _bootstrapped(
    tried: TriedSplit, modality: str, metrics: Metrics, seconds: float | int
) -> dict[str, Interval]:
    """Returns the intervals around figures of a whole split, by those samples that were tried."""
    groups = tried.groups.get(modality) or (tried.groups.get(ALL) if _is_only(tried) else None)
    if not groups:
        return {}
    scale = math.sqrt(min(1.0, len(tried.samples) / max(tried.total, 1)))
    whole, found = bootstrap(groups, scale, seconds=seconds)
    return {
        name: (metrics[name] + low - whole[name], metrics[name] + high - whole[name])
        for name, (low, high) in found.items()
        if isinstance(metrics.get(name), float) and name != "num_samples"
    }


def _is_only(tried: TriedSplit) -> bool:
    return set(tried.groups) == {ALL}


def _wilson(metrics: Metrics) -> dict[str, Interval]:
    """Returns the interval of a share of samples (Wilson, 1927)."""
    count, share = int(metrics.get("num_samples", 0)), metrics.get(WILSON)
    return {} if not count or share is None else {WILSON: wilson(share, count)}


def wilson(share: float, count: int) -> Interval:
    """Returns the 95 % interval of a share of `count` samples."""
    from scipy.stats import binomtest

    found = binomtest(round(share * count), count).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def _notes(content: PageContent, used: set[str]) -> list[str]:
    notes: list[str] = []
    if "wilson" in used:
        notes.append("The interval of an accuracy is Wilson's.")
    if "bootstrap" in used:
        tried = {
            f"{len(one.samples):,} of {one.total:,} {split} samples"
            for split, by_task in content.tried.items()
            for one in by_task.values()
        }
        others = "All other intervals are" if "wilson" in used else "The intervals are"
        notes.append(
            f"{others} by the bootstrap over {', '.join(sorted(tried))}, drawn by chance; they "
            "take samples for independent of each other."
        )
    return notes
