"""Compares a running trial with the earlier ones, by its validations so far."""

import csv
import time
from collections.abc import Callable
from pathlib import Path

from optuna.trial import Trial

from unitf.cli.search_study import PARTS

_KEPT = 5.0  # seconds between two times that are kept


class TrialWatch:
    """Says when a trial is worse than half of the earlier ones were at the same time.

    Args:
        trial: the trial.
        file: where the run writes its figures: metrics.csv.
        monitor: the name of the figure.
        mode: whether the lowest ("min") or the highest ("max") is best.
        seconds: how long the trial may take; None: epochs are compared.
    """

    def __init__(
        self, trial: Trial, file: Path, monitor: str, mode: str, seconds: float | None
    ) -> None:
        self.trial, self.file, self.monitor = trial, file, monitor
        self.best_of: Callable[[list[float]], float] = max if mode == "max" else min
        self.seconds: float | None = seconds
        self.before: float = float(trial.user_attrs.get("seconds", 0.0))
        self.begun_at: float = time.monotonic()
        self.is_pruned: bool = False
        self._reported = -1
        self._best: float | None = None  # before the newest part
        self._kept_at = 0.0

    @property
    def spent(self) -> float:
        """The seconds of the trial, also of earlier parts of it."""
        return self.before + time.monotonic() - self.begun_at

    def __call__(self) -> bool:
        """Reports the best figure so far, and returns whether the trial should end."""
        if self.spent - self._kept_at > _KEPT:
            self.keep_time()
        figures = self._figures()
        if not figures or (part := self._part(figures[-1][0])) <= self._reported:
            return False
        best = self.best_of([value for _, value in figures])
        known = self.trial.storage.get_trial(self.trial._trial_id).intermediate_values
        for number in range(self._reported + 1, part + 1):
            value = best if number == part else self._best
            if value is not None and number not in known:
                self.trial.report(value, number)
        self._reported, self._best = part, best
        self.is_pruned = bool(self.trial.should_prune())
        return self.is_pruned

    def keep_time(self) -> None:
        """Keeps how long the trial took so far, in case that this process is killed."""
        self._kept_at = self.spent
        self.trial.set_user_attr("seconds", self.spent)

    def _part(self, epoch: int) -> int:
        if self.seconds is None:
            return epoch
        return min(PARTS - 1, int(PARTS * self.spent / self.seconds))

    def _figures(self) -> list[tuple[int, float]]:
        """Returns the epoch and the figure of each validation."""
        try:
            with self.file.open(newline="") as lines:
                rows = [r for r in csv.DictReader(lines) if r.get(self.monitor)]
            return [(int(row["epoch"]), float(row[self.monitor])) for row in rows]
        except (OSError, ValueError, KeyError, TypeError):  # it is not there, or is being written
            return []
