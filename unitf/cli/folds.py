"""`unitf fit --folds 5`: a cross-validation, and the ensemble of its runs as a model of its own."""

import argparse
import json
import sys
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import torch
import yaml

from unitf import registry
from unitf.checkpoints.atomic import write_text
from unitf.checkpoints.members import write_members
from unitf.cli import training_cli
from unitf.cli.child_runs import (
    ChildRun,
    budget_of,
    frozen_recipe,
    run_command,
    without_warnings,
    write_recipe,
)
from unitf.cli.fold_figures import (
    EACH_ONCE,
    ENSEMBLE,
    results_in,
    rows_of,
    show_rows,
    with_mean,
    write_rows,
)
from unitf.cli.kept_recipe import NAME
from unitf.cli.merging import put
from unitf.cli.recipe import load_recipe
from unitf.cli.run_folder import RunFolder
from unitf.cli.training_cli import TrainingCLI, ready
from unitf.cli.writable import check_folder
from unitf.cli.yaml_values import PlainDumper
from unitf.data.fold import Fold
from unitf.ensemble import Ensemble, check_averaged
from unitf.errors import UserError
from unitf.loading import load
from unitf.spelling import expanded
from unitf.training import DataModule
from unitf.training.cross_validation import out_of_fold
from unitf.training.durations import clock, seconds_of
from unitf.training.results import SplitResults

SETTINGS: str = "folds.json"
_Settings = dict[str, Any]  # a recipe, or a part of one


def are_wanted(argv: Sequence[str]) -> bool:
    """Returns whether a command line asks for folds, or goes on with a run that has some."""
    options = [word.partition("=")[0] for word in argv]
    return "--folds" in options or _resumed(argv) is not None


def _resumed(argv: Sequence[str]) -> Path | None:
    """Returns the folder with folds that `--resume` names; None: there is none."""
    options, _ = _parser().parse_known_args(list(argv))
    folder = None if options.resume is None else Path(expanded(options.resume))
    return folder if folder is not None and (folder / SETTINGS).is_file() else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="unitf fit", add_help=False, allow_abbrev=False)
    for option in ("--folds", "--out", "--time", "--resume"):
        parser.add_argument(option)
    return parser


def main(argv: list[str]) -> int:
    """Runs `fit --config … --folds`, or goes on with any run."""
    return folded(argv)[0] if are_wanted(argv) else training_cli.main("fit", argv)


def folded(argv: Sequence[str]) -> tuple[int, str]:
    """Runs `fit --folds`; returns the exit status and the folder of the ensemble."""
    options, rest = _parser().parse_known_args(list(argv))
    if (folder := _resumed(argv)) is not None:
        if rest or options.folds or options.out or options.time:
            raise UserError(f"--resume {folder}: expected no other options: its folds go on as are")
    elif options.resume is not None:
        raise UserError(f"--resume {options.resume}: found no {SETTINGS} there, expected one")
    else:
        folder = _prepared(options, rest)
    lock = RunFolder()
    lock.lock(folder)
    try:
        return _CrossValidation(folder).run(), str(folder)
    except KeyboardInterrupt:
        go_on = f"{registry.invocation()} fit --resume {folder}"
        sys.stderr.write(f"unitf: stopped; go on with: {go_on}\n")
        return 130, str(folder)
    finally:
        lock.release()


def _prepared(options: argparse.Namespace, words: list[str]) -> Path:
    """Checks everything before the first run, and makes the folder with its settings."""
    count = int(options.folds) if str(options.folds).isdecimal() else 0
    if count < 2:
        raise UserError(f"--folds {options.folds}: expected a number from 2")
    cli = ready("fit", [*words, "--data.fold.number=1", f"--data.fold.count={count}"])
    check_averaged(dict(cli.model.tasks.items()), f"--folds {count}")
    recipe: _Settings = frozen_recipe(words)
    seconds = _seconds(options.time, recipe)
    with without_warnings():
        parts = [cli.datamodule.held_out_by(_fold(recipe, n, count)) for n in range(1, count + 1)]
    samples = sum(sum(part.counts) for part in parts)
    sys.stderr.write(
        f"unitf: --folds {count}: {samples:,} samples are parted by a hash within each class; each "
        "is held out once, and nothing else is drawn (data.fold)\n"
    )
    folder = _new_folder(options.out, cli)
    if (folder / SETTINGS).exists():
        raise UserError(f"--out {folder}: found folds there (fit --resume {folder} goes on)")
    data = {key: value for key, value in recipe["data"].items() if key != "fold"}
    write_recipe(folder, {**recipe, "data": data}, f"The recipe of {count} folds in this folder.")
    for number in range(1, count + 1):
        own = deepcopy(recipe)
        fold = _fold(recipe, number, count)
        group = {} if fold.group is None else {"group": fold.group}
        put(own, ("data", "fold"), {"number": number, "count": count, **group})
        comment = f"Fold {number} of {count}: it is held out for validation."
        write_recipe(folder / f"fold-{number}", own, comment)
    write_text(folder / SETTINGS, json.dumps({"count": count, "seconds": seconds}) + "\n")
    return folder


def _new_folder(out: str | None, cli: TrainingCLI) -> Path:
    if out is None:
        return RunFolder().new(Path("runs") / Path(str(cli.config.config[-1])).stem)
    folder = Path(expanded(out))
    check_folder("--out", folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _seconds(time: str | None, recipe: _Settings) -> float | None:
    """Returns how long all folds may take: `--time`, or the TimeBudget of the recipe."""
    if time is not None:
        return seconds_of(time, "--time")
    return budget_of(recipe)


def _fold(recipe: _Settings, number: int, count: int) -> Fold:
    own = recipe["data"].get("fold") or {}
    return Fold(number, count, own.get("group"))


def _kept(file: Path) -> tuple[int, float | None]:
    """Returns the number of folds, and the seconds that they may take together; None: no limit.

    Raises:
        UserError: the file is damaged.
    """
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        count, seconds = settings["count"], settings["seconds"]
        return int(count), None if seconds is None else float(seconds)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{file}: damaged, expected count and seconds ({error})") from error


class _CrossValidation:
    """The folds of one folder, of which some may be done.

    Args:
        folder: the folder, with its settings and the recipe of each fold.
    """

    def __init__(self, folder: Path) -> None:
        self.folder: Path = folder
        self.count, self.seconds = _kept(folder / SETTINGS)
        self.names: list[str] = [f"fold-{number}" for number in range(1, self.count + 1)]

    def run(self) -> int:
        """Trains what is not trained yet, joins the members and measures them."""
        share = None if self.seconds is None else self.seconds / self.count
        if share is not None:
            line = f"each of {self.count} folds may take {clock(share)} (--time is for all)"
            sys.stderr.write(f"unitf: {line}\n")
        options = ["--report=false"]  # `unitf report FOLD` makes a page
        options += [] if share is None else [f"--time={share:.0f}s"]
        for name in self.names:
            sys.stderr.write(f"unitf: {name} of {self.count}: {self.folder / name}\n")
            if status := ChildRun(self.folder / name, options).run():
                go_on = f"{registry.invocation()} fit --resume {self.folder}"
                sys.stderr.write(f"unitf: {name} ended with status {status}; go on with: {go_on}\n")
                return status
        write_members(self.folder, self.names)
        self._write_config()
        return self._measure()

    def _write_config(self) -> None:
        """Writes the configuration of the ensemble: that of a fold, but no sample is held out.

        No test may be drawn either: its samples would be among those of the training.
        """
        config = load_recipe(self.folder / self.names[0] / "config.yaml")
        put(config, ("data", "fold"), None)
        put(config, ("data", "held_out"), 0.0)
        config["out"] = str(self.folder)
        text = yaml.dump(config, Dumper=PlainDumper, sort_keys=False, allow_unicode=True)
        write_text(self.folder / "config.yaml", text)

    def _measure(self) -> int:
        """Measures the ensemble, and writes and prints the figures of all."""
        words = ["--config", str(self.folder / self.names[0] / NAME)]
        with without_warnings():
            data = ready("fit", words).datamodule
        status = 0
        if data.test_splits:
            status = run_command(["test", "--checkpoint", str(self.folder)])
        folds = [row for n in self.names for row in rows_of(n, results_in(self.folder / n))]
        ensemble = rows_of(ENSEMBLE, results_in(self.folder))
        rows = [*with_mean(folds), *rows_of(EACH_ONCE, {"out of fold": self._out_of_fold(data)})]
        rows += [row for row in ensemble if row.split in data.test_splits]
        write_rows(self.folder, rows)
        show_rows(rows)
        command = f"{registry.invocation()} predict --checkpoint {self.folder} --input …"
        sys.stdout.write(f"figures   {self.folder / 'folds.csv'}\npredict   {command}\n")
        return status

    def _out_of_fold(self, data: DataModule) -> SplitResults:
        ensemble = cast(Ensemble, load(self.folder))
        group = None if data.fold is None else data.fold.group
        folds = [Fold(number, self.count, group) for number in range(1, self.count + 1)]
        with without_warnings():
            parts = [data.held_out_by(fold).items() for fold in folds]
        return out_of_fold(ensemble.to("cuda" if torch.cuda.is_available() else "cpu"), parts)
