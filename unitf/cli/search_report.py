"""What a search says: a line for each trial, their table, and what mattered."""

import csv
import io
import sys
from collections.abc import Mapping
from pathlib import Path

from optuna.trial import FrozenTrial, Trial, TrialState

from unitf.checkpoints.atomic import write_text
from unitf.cli.search_space import short_names
from unitf.cli.search_study import SearchStudy
from unitf.cli.yaml_values import in_one_line
from unitf.training.durations import clock

_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "ended early",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "interrupted",
}
_SHOWN = 20  # trials in the table at the terminal


def tried(settings: Mapping[str, object]) -> str:
    """Returns settings in one line."""
    names = short_names(list(settings))
    return ", ".join(f"{names[key]} {_text(value)}" for key, value in settings.items())


def say_begin(trial: Trial, total: int | None, settings: Mapping[str, object]) -> None:
    """Prints what a trial tries; `say_end` ends the line."""
    of = "" if total is None else f" of {total}"
    own = " (the recipe as it is)" if trial.number == 0 else ""
    sys.stdout.write(f"trial {trial.number}{of}{own}: {tried(settings)}")
    sys.stdout.flush()


def say_end(text: str) -> None:
    """Prints how a trial ended."""
    sys.stdout.write(f" → {text}\n")
    sys.stdout.flush()


def write_trials(folder: Path, study: SearchStudy, monitor: str) -> None:
    """Writes trials.csv: a line for each trial, with what was tried."""
    file = io.StringIO()
    head = ["number", "state", monitor, "seconds"]
    writer = csv.DictWriter(file, [*head, *study.space, "folder", "error"])
    writer.writeheader()
    for trial in study.trials():
        if trial.state in _STATES:
            writer.writerow(_row(trial, monitor))
    write_text(folder / "trials.csv", file.getvalue())


def _row(trial: FrozenTrial, monitor: str) -> dict[str, object]:
    return {
        "number": trial.number,
        "state": _STATES[trial.state],
        monitor: trial.value,
        "seconds": round(trial.user_attrs.get("seconds", 0.0), 1),
        **trial.params,
        "folder": name_of(trial),
        "error": trial.user_attrs.get("error", ""),
    }


def name_of(trial: Trial | FrozenTrial) -> str:
    """Returns the name of the folder of a trial."""
    return f"trial-{trial.number:02d}"


def show_trials(study: SearchStudy, monitor: str) -> None:
    """Prints the table of the trials, the best first, and what mattered."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    names = short_names(list(study.space))
    table = Table(box=None, pad_edge=False)
    for heading in ("trial", monitor.partition("/")[2].replace("/", " "), "time", *names.values()):
        table.add_column(heading, justify="right")
    others = [trial for trial in study.ended() if trial.state != TrialState.COMPLETE]
    for trial in [*study.complete(), *others][:_SHOWN]:
        state = _STATES[trial.state]
        figure = f"{trial.value:.4f}" if trial.state == TrialState.COMPLETE else state
        params = [_text(value) for value in study.settings(trial).values()]
        spent = clock(trial.user_attrs.get("seconds", 0.0))
        table.add_row(str(trial.number), figure, spent, *params)
    console.print(table)
    if mattered := study.importances():
        parts = ", ".join(f"{names[key]} {value:.2f}" for key, value in mattered.items())
        sys.stdout.write(f"mattered  {parts}\n")


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else in_one_line(value)
