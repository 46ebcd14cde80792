"""Reads what a run has left in its folder: figures, curves, recipe, versions."""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import yaml

from unitf.errors import UserError

PAGE_DATA: str = "report.json"  # what a page measured, for the next one and for comparisons
Plain = dict[str, object]  # an object of a JSON file
Metrics = dict[str, float | int]
Figures = dict[str, dict[str, dict[str, Metrics]]]  # split → task → modality → metric → value
Intervals = dict[str, dict[str, dict[str, dict[str, Sequence[float]]]]]  # likewise: both ends


@dataclass(frozen=True)
class RecordedRun:
    """The files of a run.

    Args:
        folder: the folder of the run.
    """

    folder: Path

    @property
    def name(self) -> str:
        """What a person calls the run: the names of its recipe and of its folder."""
        parts = self.folder.resolve().parts[-2:]
        return "/".join(parts)

    @cached_property
    def metrics(self) -> Plain:
        """The content of metrics.json; empty if there is none."""
        return _json(self.folder / "metrics.json")

    @cached_property
    def versions(self) -> Plain:
        """The content of versions.json; empty if there is none."""
        return _json(self.folder / "versions.json")

    @property
    def figures(self) -> Figures:
        """The figures of each split, task and modality."""
        return cast("Figures", self.metrics.get("results", {}))

    @property
    def training(self) -> Metrics:
        """How long the training took, how many steps, epochs, samples and tokens it had."""
        return cast("Metrics", self.metrics.get("training", {}))

    @property
    def best(self) -> dict[str, object]:
        """Which epoch and step was best, by which metric; empty if that is not known."""
        return cast("dict[str, object]", self.metrics.get("best", {}))

    @cached_property
    def page(self) -> Plain:
        """What the run's page has kept: the content of report.json; empty if there is none."""
        return _json(self.folder / PAGE_DATA)

    @property
    def monitors(self) -> dict[str, str]:
        """The figure that says most about each task."""
        return cast("dict[str, str]", self.page.get("monitors", {}))

    @property
    def modes(self) -> dict[str, str]:
        """Whether a lower ("min") or a higher ("max") value of that figure is better."""
        return cast("dict[str, str]", self.page.get("modes", {}))

    @property
    def intervals(self) -> Intervals:
        """The 95 % intervals that the run's page has measured."""
        return cast("Intervals", self.page.get("intervals", {}))

    @cached_property
    def settings(self) -> Plain:
        """The whole configuration; empty if there is none.

        Raises:
            UserError: config.yaml is damaged.
        """
        file = self.folder / "config.yaml"
        try:
            settings = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
        except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{file}: expected the settings of a run, found {reason}") from error
        return cast("Plain", settings) if isinstance(settings, dict) else {}

    @cached_property
    def recipe(self) -> str:
        """The text of the recipe: the one made for the data, or else the whole configuration."""
        for name in ("recipe.yaml", "config.yaml"):
            if (self.folder / name).is_file():
                return (self.folder / name).read_text(encoding="utf-8", errors="replace")
        return ""

    @cached_property
    def history(self) -> list[Metrics]:
        """The points of the curves: for each validation its step and what was measured."""
        points: dict[int, Metrics] = {}
        drawn = _rows(self.folder / "curves.csv")
        first = 0 if drawn else 1  # Lightning counts the steps of metrics.csv from 0
        for row in drawn or _rows(self.folder / "metrics.csv"):
            if (row.get("step") or "").isdigit():
                step = int(row["step"]) + first
                points.setdefault(step, {"step": step}).update(_curves(row))
        return [points[step] for step in sorted(points) if len(points[step]) > 1]

    def confusion(self, task: str) -> tuple[list[str], np.ndarray] | None:
        """Returns the classes and the confusion matrix (a row for each true class); None: none."""
        file = self.folder / f"confusion_{task}.csv"
        if not file.is_file():
            return None
        with file.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.reader(lines))
        counts = np.array([row[1:] for row in rows[1:]], dtype=np.int64)
        names = rows[0][1:]
        return (names, counts) if counts.shape == (len(names), len(names)) else None


def _json(path: Path) -> Plain:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("Plain", found) if isinstance(found, dict) else {}


def _rows(path: Path) -> list[dict[str, str]]:
    """Returns the rows of a table; none if there is no such file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _curves(row: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """Yields the losses of training and the metrics of validation in a row of metrics.csv."""
    for name, text in row.items():
        if not text or not name.startswith(("train/", "validation/")):
            continue
        value = float(text)
        if math.isfinite(value):
            yield name.removesuffix("_epoch"), value
