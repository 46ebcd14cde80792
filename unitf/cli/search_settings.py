"""What a search does, and the checks before its first trial."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from unitf.checkpoints.atomic import write_text
from unitf.cli.argument_types import Keys
from unitf.cli.child_runs import budget_of, frozen_recipe, without_warnings, write_recipe
from unitf.cli.fit_data import written_recipe
from unitf.cli.kept_recipe import NAME
from unitf.cli.long_words import nested_value
from unitf.cli.merging import explicit_keys, put
from unitf.cli.notation import long_form, short_form
from unitf.cli.recipe import StrictLoader, files_of, read_recipe
from unitf.cli.run_folder import RunFolder
from unitf.cli.search_space import (
    PlainSpace,
    Space,
    as_plain,
    check_keys,
    read_space,
    samples_of,
    to_space,
    value_at,
    with_defaults,
)
from unitf.cli.training_cli import TrainingCLI, ready
from unitf.cli.usual_space import usual_space
from unitf.cli.writable import check_folder
from unitf.cli.yaml_values import in_one_line
from unitf.errors import UserError
from unitf.recognition.recipe_text import named
from unitf.training.callbacks.checkpoint import monitored
from unitf.training.durations import clock, seconds_of

SETTINGS: str = "search.json"
_USUAL_TRIALS = 12
_Recipe = dict[str, Any]


@dataclass(frozen=True)
class SearchSettings:
    """What a search keeps of its command line.

    Args:
        space: what is tried, as plain data.
        usual: the recipe's own value of each key of the space.
        monitor: the figure that is compared.
        mode: whether the lowest ("min") or the highest ("max") is best.
        has_test: whether the chosen model can be tested.
        trials: the number of trials; None: the time decides.
        seconds: how long the search may take; None: the number of trials decides.
        trial_seconds: how long a trial may take; None: as the recipe has it.
        seed: of the drawing.
    """

    space: dict[str, object]
    usual: dict[str, object]
    monitor: str
    mode: str
    has_test: bool
    trials: int | None
    seconds: float | None
    trial_seconds: float | None
    seed: int

    @classmethod
    def read(cls, folder: Path) -> "SearchSettings":
        """Returns the settings of the search in a folder.

        Raises:
            UserError: the file is damaged.
        """
        try:
            return cls(**json.loads((folder / SETTINGS).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{folder / SETTINGS}: damaged ({error})") from error

    def write(self, folder: Path) -> None:
        """Writes the settings into the folder of the search."""
        write_text(folder / SETTINGS, json.dumps(asdict(self), indent=1) + "\n")


def begun(
    options: argparse.Namespace, words: Sequence[str], is_data: bool, folder: Path | None
) -> Path:
    """Checks everything before the first trial; returns the folder, with recipe and settings.

    Args:
        options: those of the search.
        words: those of `unitf fit`.
        is_data: whether the first of these words is the path of data.
        folder: the folder that a person names.

    Raises:
        UserError: there is a mistake in an option, the recipe or the space.
    """
    for option, value in (("--trials", options.trials), ("--seed", options.seed)):
        if value is not None and value < (option == "--trials"):
            raise UserError(f"{option} {value}: expected {int(option == '--trials')} or more")
    with tempfile.TemporaryDirectory() as place:
        words = written_recipe(list(words), Path(place)) if is_data else list(words)
        ready("fit", words)  # a mistake is said with the file that has it
        recipe: _Recipe = frozen_recipe(words)
        if recipe["model"].get("optimizer") is None:  # else it has no key for the learning rate
            settings = {"lr": 0.001, "weight_decay": 0.05, "fused": True}
            put(recipe, ("model", "optimizer"), named("torch.optim.AdamW", settings))
        base = Path(place) / "base"
        write_recipe(base, recipe, "The recipe of a search.")
        with without_warnings():
            cli = ready("fit", ["--config", str(base / NAME)])
            settings = _settings(options, cli, recipe, base)
        name = next(files_of(words)).stem
    if folder is None:
        folder = RunFolder().new(Path("runs") / f"{name}_search")
    else:
        check_folder("--out", folder)
    write_recipe(folder, recipe, "The recipe of a search; its first trial.")
    settings.write(folder)
    return folder


def _settings(
    options: argparse.Namespace, cli: TrainingCLI, recipe: _Recipe, base: Path
) -> SearchSettings:
    if not cli.datamodule.samples("validation"):
        raise UserError("search: the recipe has no validation samples, expected some to choose by")
    config = long_form(yaml.load(cli.parser.dump(cli.config, skip_none=False), Loader=StrictLoader))
    location = "the usual space" if options.space is None else str(options.space)
    plain = usual_space(cli.model, config) if options.space is None else read_space(options.space)
    space, usual = _checked(plain, config, base, location)
    seconds = None if options.time is None else seconds_of(options.time, "--time")
    trials = options.trials or (None if seconds else _USUAL_TRIALS)
    trial_seconds = budget_of(recipe)
    if seconds is not None:
        trial_seconds = seconds / (trials or _USUAL_TRIALS)
    if options.trial_time is not None:
        trial_seconds = seconds_of(options.trial_time, "--trial-time")
    monitor, mode = monitored(cli.trainer.checkpoint_callbacks, cli.model)
    _say(space, trials, seconds, trial_seconds, monitor)
    return SearchSettings(
        space=as_plain(space),
        usual=usual,
        monitor=monitor,
        mode=mode,
        has_test=bool(cli.datamodule.test_splits),
        trials=trials,
        seconds=seconds,
        trial_seconds=trial_seconds,
        seed=options.seed,
    )


def _checked(
    plain: PlainSpace, config: _Recipe, base: Path, location: str
) -> tuple[Space, dict[str, object]]:
    """Returns a space with the recipe's own values in it, and these values.

    Raises:
        UserError: a key or a value is not one of the recipe.
    """
    space = to_space(plain, location)
    check_keys(space, config, location)
    for sample in samples_of(space):
        options = [f"--{key}={in_one_line(value)}" for key, value in sample.items()]
        try:
            ready("fit", ["--config", str(base / NAME), *options])
        except UserError as error:
            text = str(error).replace(f"{base / NAME}: ", "")
            text = text.removeprefix("--") if text.startswith("--") else text
            raise UserError(f"{location}: {text}") from error
    recipe = read_recipe(base / NAME)
    usual = {key: _own_value(tuple(key.split(".")), recipe, config) for key in space}
    return with_defaults(space, usual, location), usual


def _own_value(keys: Keys, recipe: _Recipe, config: _Recipe) -> object:
    """Returns the value that a recipe has at a key, as a person writes it; else the default."""
    explicit = explicit_keys(keys, recipe)
    if (value := value_at(recipe, explicit)) is None:
        return value_at(config, explicit_keys(keys, config))
    if not isinstance(value, dict):
        return value
    return value_at(short_form(nested_value(explicit, value)), explicit)


def _say(
    space: Space,
    trials: int | None,
    seconds: float | None,
    trial_seconds: float | None,
    monitor: str,
) -> None:
    for key, entry in space.items():
        sys.stderr.write(f"unitf: {key}: {entry}\n")
    count = f"{trials} trials" if trials else f"trials for {clock(seconds or 0.0)}"
    each = "as the recipe has it" if trial_seconds is None else f"at most {clock(trial_seconds)}"
    sys.stderr.write(f"unitf: {count} (--trials, --time), each {each} (--trial-time)\n")
    sys.stderr.write(f"unitf: chosen by {monitor}; the test split is measured once, at the end\n")
