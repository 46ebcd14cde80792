"""Writes results as a table, as JSON, and as a picture."""

import json
import time
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from unitf.training.callbacks.versions import versions


def line(result: dict[str, Any]) -> str:
    """Returns the result of one workload in one line."""
    ratio, rate, memory = result["ratio"], result["per_cpu_second"], result["memory"]
    text = (
        f"{result['name']:34s} {ratio['median']:6.2f}×"
        f" ({ratio['least']:.2f} to {ratio['most']:.2f})"
        f"  {_number(rate['unitf'])} to {_number(rate['peer'])} {result['unit']}/s"
        f"  {memory['unitf'] / 2**20:.0f} to {memory['peer'] / 2**20:.0f} MiB"
    )
    if (efficiency := result.get("share")) is not None:
        text += f"  {efficiency['median']:.2f} of the limit"
    if result["must"] is not None:
        text += f"  (must {result['must']}, aim {result['aim']})"
    return text


def append(results: list[dict[str, Any]], threads: int, folder: Path, name: str = "") -> Path:
    """Writes the results of a run to a new file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / (time.strftime("%Y-%m-%d-%H%M%S") + (name and f"-{name}") + ".json")
    run = {"date": time.strftime("%Y-%m-%d %H:%M"), "threads": threads, **versions()}
    file.write_text(json.dumps(run | {"workloads": results}, indent=1) + "\n", encoding="utf-8")
    return file


def table(results: list[dict[str, Any]]) -> str:
    """Returns a Markdown table of results."""
    rows = [
        "| workload | against | ratio (least to most) | must / aim | per CPU second, unitf / peer "
        "| of the limit | must / aim | MiB, unitf / peer |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in results:
        ratio, rate, memory = one["ratio"], one["per_cpu_second"], one["memory"]
        efficiency = one.get("share")
        rows.append(
            f"| {one['name']} | {one['against']} "
            f"| **{ratio['median']:.2f}** ({ratio['least']:.2f} to {ratio['most']:.2f}) "
            f"| {_pair(one['must'], one['aim'])} "
            f"| {_number(rate['unitf'])} / {_number(rate['peer'])} {one['unit']} "
            f"| {'' if efficiency is None else format(efficiency['median'], '.2f')} "
            f"| {_pair(one.get('share_must'), one.get('share_aim'))} "
            f"| {memory['unitf'] / 2**20:.0f} / {memory['peer'] / 2**20:.0f} |"
        )
    return "\n".join(rows) + "\n"


def draw(results: list[dict[str, Any]], file: Path) -> None:
    """Draws the ratio of each workload with its spread and its goals."""
    figure, axes = plt.subplots(figsize=(9, 0.34 * len(results) + 1.2), layout="constrained")
    for row, one in enumerate(reversed(results)):
        ratio = one["ratio"]
        errors = [[ratio["median"] - ratio["least"]], [ratio["most"] - ratio["median"]]]
        axes.barh(row, ratio["median"], color="#4477aa", xerr=errors, ecolor="#223355")
        for name, colour in (("must", "#cc3311"), ("aim", "#228833")):
            if one[name] is not None:
                axes.plot([one[name]] * 2, [row - 0.4, row + 0.4], color=colour, lw=2)
    axes.axvline(1, color="black", lw=1)
    axes.set_xscale("log")
    ticks = [0.5, 1, 2, 3, 5, 10, 20, 50, 100]
    low, high = axes.get_xlim()
    axes.set_xticks([t for t in ticks if low <= t <= high], minor=False)
    axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter("{x:g}×")
    axes.set_yticks(range(len(results)), [one["name"] for one in reversed(results)])
    axes.set_xlabel("CPU time of the peer by that of unitf (red: must, green: aim)")
    figure.savefig(file, dpi=150)
    plt.close(figure)


def _pair(first: float | None, second: float | None) -> str:
    return "" if first is None else f"{first:g} / {second:g}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
