"""SourceSamples: the samples of all sources by split, each read once."""

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from unitf.batch import Sample
from unitf.data.drawn_splits import DrawnSplits
from unitf.data.fold import Fold
from unitf.data.read_samples import check_samples, shared_with
from unitf.data.source import Source
from unitf.data.stream import StreamSource
from unitf.errors import UserError

_log: logging.Logger = logging.getLogger(__name__)
USUAL: float = 0.1  # the fraction that is drawn, if nothing is said


class SourceSamples:
    """The samples of all sources by split; if all of them lack a split, some are drawn for it.

    Args:
        sources: the sources by name.
        root: the folder to which the sources' paths are relative.
        held_out: the fraction of the training samples that is drawn for validation, and for a
            test; None: `USUAL`, which a line says.
        fold: the part of the training samples that is held out for validation instead; nothing
            is drawn then, and validation samples of a source are left out.

    Raises:
        UserError: the fraction is below 0 or too large.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        root: Path,
        held_out: float | None,
        fold: Fold | None = None,
    ) -> None:
        if held_out is not None and not 0 <= held_out < 0.5:
            raise UserError(f"data.held_out: expected 0 or more, below 0.5, found {held_out}")
        self.sources: Mapping[str, Source] = sources
        self.root: Path = root
        self.held_out: float | None = held_out
        self.fold: Fold | None = fold
        self.targets: Sequence[str] = ()  # columns that may hold the class of a sample
        self._given: dict[tuple[str, str], Sequence[Sample]] = {}  # as the sources have them
        self._drawn: dict[str, DrawnSplits] = {}  # by source
        self._samples: dict[tuple[str, str], Sequence[Sample]] = {}

    def of(self, split: str, name: str) -> Sequence[Sample]:
        """Returns the samples of a split of a source; empty if there are none."""
        if (split, name) not in self._samples:
            samples, drawn = self._of_source(split, name), self._draws(name)
            if split in drawn.parts:
                samples = drawn.of(split, self._of_source("train", name))
            self._samples[split, name] = samples
        return self._samples[split, name]

    def of_all_folds(self, name: str) -> Sequence[Sample]:
        """Returns the training samples of a source, with those that a fold holds out."""
        return self.of("train", name) if self.fold is None else self._of_source("train", name)

    def splits(self) -> list[str]:
        """Returns the names of the splits that a source can have, and those that are drawn."""
        names = dict.fromkeys(n for source in self.sources.values() for n in source.splits())
        return list(dict.fromkeys([*names, "validation", "test"]))

    def _of_source(self, split: str, name: str) -> Sequence[Sample]:
        if (split, name) not in self._given:
            source = self.sources[name]
            samples = check_samples(source, split, source.read(split, self.root))
            others = {s: read for (s, n), read in self._given.items() if n == name}
            if line := shared_with(source, split, samples, others):
                _log.warning("source %s: %s", name, line)
            self._given[split, name] = samples
        return self._given[split, name]

    def _draws(self, name: str) -> DrawnSplits:
        """Returns what is drawn from the training samples of a source for the splits that lack."""
        if name not in self._drawn and self.fold is not None:
            self._drawn[name] = self._held_out_by(self.fold, name)
        if name not in self._drawn:
            fraction = USUAL if self.held_out is None else self.held_out
            drawn = DrawnSplits()
            if fraction and self._lacking and not isinstance(self.sources[name], StreamSource):
                fractions = dict.fromkeys(self._lacking, fraction)
                train = self._of_source("train", name)
                drawn = DrawnSplits.of_samples(train, fractions, self.targets, self.root)
            if self.held_out is None and drawn.parts:
                _log.warning("source %s: %s (data.held_out: %g)", name, drawn, fraction)
            self._drawn[name] = drawn
        return self._drawn[name]

    def _held_out_by(self, fold: Fold, name: str) -> DrawnSplits:
        source = self.sources[name]
        if isinstance(source, StreamSource):
            raise UserError(f"source {name}: a stream cannot be parted into folds (data.fold)")
        train, own = self._of_source("train", name), self._of_source("validation", name)
        if len(own) and fold.number == 1:  # said once
            line = "source %s: its %d validation samples are left out: each fold has its own"
            _log.warning(line, name, len(own))
        if not len(train):  # a source of tests alone
            return DrawnSplits()
        return DrawnSplits(fold.parts(train, self.targets, self.root, f"source {name}"))

    @cached_property
    def _lacking(self) -> list[str]:
        """The splits to draw: none if a source has validation; no test if one has a test."""
        given = {
            split
            for name, source in self.sources.items()
            if not isinstance(source, StreamSource)
            for split in dict.fromkeys(["validation", *source.splits()])
            if len(self._of_source(split, name))
        }
        if "validation" in given:
            return []
        has_test = any(split.startswith("test") for split in given)
        return ["validation"] if has_test else ["validation", "test"]
