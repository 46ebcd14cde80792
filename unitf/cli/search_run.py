"""The trials of a search, one after the other, and what is left of them: the best model."""

import json
import shutil
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import yaml
from optuna.trial import FrozenTrial, Trial, TrialState

from unitf import registry
from unitf.checkpoints.atomic import replacing, write_text
from unitf.cli.child_runs import ChildRun, last_line, run_command, write_recipe
from unitf.cli.kept_recipe import NAME
from unitf.cli.long_words import nested_value
from unitf.cli.merging import explicit_keys, node_at, put
from unitf.cli.notation import long_form
from unitf.cli.recipe import load_recipe, read_recipe
from unitf.cli.search_pruning import TrialWatch
from unitf.cli.search_report import (
    name_of,
    say_begin,
    say_end,
    show_trials,
    tried,
    write_trials,
)
from unitf.cli.search_settings import SearchSettings
from unitf.cli.search_space import to_space
from unitf.cli.search_study import SearchStudy
from unitf.cli.yaml_values import PlainDumper
from unitf.errors import UserError
from unitf.training.durations import clock

_INTERRUPTED = {128 + number for number in (1, 2, 10, 12, 15)}  # exit statuses after a signal
_HOPELESS = 5  # trials that fail before one is complete


class SearchRun:
    """The search of a folder, of which a part may be done.

    Args:
        folder: the folder, with the recipe and the settings.
    """

    def __init__(self, folder: Path) -> None:
        self.folder: Path = folder
        self.settings: SearchSettings = SearchSettings.read(folder)
        self.recipe: dict[str, Any] = read_recipe(folder / NAME)
        space = to_space(self.settings.space, str(folder))
        usual, mode, seed = self.settings.usual, self.settings.mode, self.settings.seed
        self.study: SearchStudy = SearchStudy(folder, space, usual, mode, seed)

    def run(self) -> int:
        """Runs the trials that are left, keeps the best one and tests it; returns the status."""
        try:
            while self._has_next():
                self._run_trial(self.study.next())
                write_trials(self.folder, self.study, self.settings.monitor)
        except KeyboardInterrupt:
            say_end("interrupted")
            self._finish()
            go_on = f"{registry.invocation()} search --resume {self.folder}"
            sys.stderr.write(f"unitf: stopped, nothing is lost; go on with: {go_on}\n")
            return 130
        return self._test() if self._finish() else 0

    # ---- the trials --------------------------------------------------------------------

    def _has_next(self) -> bool:
        """Returns whether another trial follows.

        Raises:
            UserError: the first trials have all failed.
        """
        ended, settings = self.study.ended(), self.settings
        failed = [trial for trial in ended if trial.state == TrialState.FAIL]
        if len(failed) == len(ended) >= min(_HOPELESS, settings.trials or _HOPELESS):
            reason = failed[0].user_attrs.get("error", "")
            raise UserError(f"search: all {len(failed)} trials failed, the first by: {reason}")
        if settings.trials is not None and len(ended) >= settings.trials:
            return False
        usual = settings.trial_seconds or 0.0
        return settings.seconds is None or self._left() >= max(1.0, usual / 2)

    def _left(self) -> float:
        """Returns the seconds that are left of the search."""
        spent = sum(trial.user_attrs.get("seconds", 0.0) for trial in self.study.ended())
        return (self.settings.seconds or 0.0) - spent

    def _run_trial(self, trial: Trial) -> None:
        settings, folder = self.settings, self.folder / name_of(trial)
        values = self.study.settings(trial)
        say_begin(trial, settings.trials, values)
        if not (folder / NAME).is_file():
            write_recipe(folder, self._recipe_of(values), f"Trial {trial.number} of a search.")
        seconds = settings.trial_seconds
        if seconds is not None and settings.seconds is not None:
            seconds = min(seconds, self._left())
        options = ["--test_after_fit=false", "--report=false"]
        options += [] if seconds is None else [f"--time={seconds:.0f}s"]
        watch = TrialWatch(trial, folder / "metrics.csv", settings.monitor, settings.mode, seconds)
        status = ChildRun(folder, options, folder / "output.log").run(watch)
        self._tell(trial, folder, status, watch)

    def _recipe_of(self, values: dict[str, object]) -> dict[str, Any]:
        recipe = deepcopy(self.recipe)
        for key, value in values.items():
            keys = explicit_keys(tuple(key.split(".")), recipe)
            put(recipe, keys, node_at(long_form(nested_value(keys, value)), keys))
        return recipe

    def _tell(self, trial: Trial, folder: Path, status: int, watch: TrialWatch) -> None:
        """Keeps how a trial ended, and says it."""
        spent = watch.spent
        if watch.is_pruned:
            self.study.tell(trial, None, TrialState.PRUNED, seconds=spent)
            say_end(f"ended early after {clock(spent)}, others were better by then")
            return
        if status in _INTERRUPTED:
            raise KeyboardInterrupt
        value = _figure(folder) if status == 0 else None
        if value is None:
            reason = last_line(folder / "output.log")
            self.study.tell(trial, None, TrialState.FAIL, seconds=spent, error=reason)
            say_end(f"failed: {reason}")
            return
        self.study.tell(trial, value, TrialState.COMPLETE, seconds=spent)
        best = " (best so far)" if self.study.complete()[0].number == trial.number else ""
        say_end(f"{_name(self.settings.monitor)} {value:.4f}{best} in {clock(spent)}")

    # ---- what is left of them ----------------------------------------------------------

    def _finish(self) -> bool:
        """Writes and shows the trials, and keeps the best one; returns whether there is one."""
        write_trials(self.folder, self.study, self.settings.monitor)
        show_trials(self.study, self.settings.monitor)
        complete = self.study.complete()
        if not complete:
            return False
        self._keep(complete[0])
        return True

    def _keep(self, best: FrozenTrial) -> None:
        """Makes the folder of the search that of its best trial, for all verbs."""
        run, settings = self.folder / name_of(best), self.settings
        for name in ("checkpoints/best.ckpt", "metrics.json"):
            with replacing(self.folder / name) as part:
                shutil.copyfile(run / name, part)
        config = load_recipe(run / "config.yaml")
        config["out"] = str(self.folder)
        text = yaml.dump(config, Dumper=PlainDumper, sort_keys=False, allow_unicode=True)
        write_text(self.folder / "config.yaml", text)
        lines = (run / NAME).read_text(encoding="utf-8").splitlines(keepends=True)
        value = cast(float, best.value)
        head = (
            f"# The best of {len(self.study.ended())} trials, number {best.number}: "
            f"{_name(settings.monitor)} {value:.4f} on validation.\n"
        )
        write_text(self.folder / "best.yaml", head + "".join(s for s in lines if s[:1] != "#"))
        sys.stdout.write(
            f"best      trial {best.number}, {_name(settings.monitor)} {value:.4f} on validation: "
            f"{tried(self.study.settings(best))}\n"
            f"recipe    {self.folder / 'best.yaml'}\ntrials    {self.folder / 'trials.csv'}\n"
        )

    def _test(self) -> int:
        """Measures the chosen model on the test split, which chose nothing."""
        if not self.settings.has_test:
            return 0
        return run_command(["test", "--checkpoint", str(self.folder)])


def _figure(folder: Path) -> float | None:
    """Returns the best figure of a run; None: it has none."""
    file = folder / "metrics.json"
    report = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    value = report.get("best", {}).get("value")
    return float(value) if isinstance(value, int | float) else None


def _name(monitor: str) -> str:
    """Returns the name of a figure for a person: that of the split is known."""
    return monitor.partition("/")[2].replace("/", " ")
