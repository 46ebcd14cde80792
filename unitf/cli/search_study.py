"""The study of a search: which settings were tried, in an SQLite file, and which come next."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, Trial, TrialState

from unitf.cli.long_words import parsed
from unitf.cli.search_space import SearchChoices, SearchRange, Space
from unitf.cli.yaml_values import in_one_line, plain_value
from unitf.data.seeding import mix

FILE: str = "search.db"
PARTS: int = 10  # of a trial, in each of which it is compared with the others
_FIRST = 4  # trials that are drawn at random, and that are never ended early
_UNTOUCHED = 4  # parts of a trial in which it is not ended
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class SearchStudy:
    """The trials of a search, kept in a file after each change.

    What comes next depends on the trials that are there and the seed alone, not on whether the
    search was interrupted. The first trial is the recipe as it is.

    Args:
        folder: the folder of the search.
        space: what is tried.
        usual: the recipe's own value of each key.
        mode: whether the lowest ("min") or the highest ("max") figure is best.
        seed: of the drawing.
    """

    def __init__(
        self, folder: Path, space: Space, usual: Mapping[str, object], mode: str, seed: int
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space: Space = space
        self.seed: int = seed
        self._distributions = {key: _distribution(entry) for key, entry in space.items()}
        self._study = optuna.create_study(
            storage=f"sqlite:///{folder / FILE}",
            study_name="search",
            direction="maximize" if mode == "max" else "minimize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_FIRST, n_warmup_steps=_UNTOUCHED),
            load_if_exists=True,
        )
        if not self.trials():
            self._study.enqueue_trial({k: _stored(space[k], v) for k, v in usual.items()})

    def trials(self) -> list[FrozenTrial]:
        """Returns all trials in their order."""
        return self._study.get_trials(deepcopy=False)

    def ended(self) -> list[FrozenTrial]:
        """Returns the trials that are complete, ended early or failed."""
        return [trial for trial in self.trials() if trial.state in _ENDED]

    def complete(self) -> list[FrozenTrial]:
        """Returns the trials that are complete, the best one first."""
        found = [t for t in self.trials() if t.state == TrialState.COMPLETE]
        sign = -1 if self._study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
        return sorted(found, key=lambda trial: sign * cast(float, trial.value))

    def next(self) -> Trial:
        """Returns the trial that was interrupted, or else a new one."""
        for trial in self.trials():
            if trial.state == TrialState.RUNNING:
                return self._complete(Trial(self._study, trial._trial_id))
        number = len(self.ended())
        self._study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=_FIRST, multivariate=True, seed=mix(self.seed, number) % 2**32
        )
        return self._study.ask(self._distributions)

    def _complete(self, trial: Trial) -> Trial:
        """Draws what a trial lacks whose drawing was interrupted."""
        for key, distribution in self._distributions.items():
            trial._suggest(key, distribution)
        return trial

    def settings(self, trial: Trial | FrozenTrial) -> dict[str, object]:
        """Returns what a trial tries, by key."""
        return {key: _recipe_value(self.space[key], value) for key, value in trial.params.items()}

    def tell(self, trial: Trial, value: float | None, state: TrialState, **facts: object) -> None:
        """Keeps how a trial ended.

        Args:
            value: its figure; None: it has none.
            facts: what else is to be known of it, by name.
        """
        for name, fact in facts.items():
            trial.set_user_attr(name, fact)
        self._study.tell(trial.number, value, state)

    def importances(self) -> dict[str, float]:
        """Returns how much each key mattered for the figure, from 0 to 1, the most first.

        It is empty, where there are too few trials to say it.
        """
        if len(self.complete()) < _FIRST:
            return {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return dict(optuna.importance.get_param_importances(self._study))
        except (ValueError, RuntimeError):  # all figures are the same, for instance
            return {}


def _recipe_value(entry: SearchRange | SearchChoices, value: Any) -> object:
    """Returns a value of a trial as its recipe has it; four digits are enough."""
    if isinstance(entry, SearchChoices):
        return parsed(value)
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _distribution(entry: SearchRange | SearchChoices) -> BaseDistribution:
    if isinstance(entry, SearchChoices):
        return CategoricalDistribution(entry.texts)
    if entry.is_whole:
        return IntDistribution(int(entry.low), int(entry.high), entry.log)
    return FloatDistribution(entry.low, entry.high, entry.log)


def _stored(entry: SearchRange | SearchChoices, value: Any) -> Any:
    """Returns a value of the recipe as the study keeps it."""
    if isinstance(entry, SearchChoices):
        return in_one_line(plain_value(value))
    return round(value) if entry.is_whole else float(value)
