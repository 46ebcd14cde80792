"""ModalityDropout: training samples that are read without some of their inputs."""

import math
from collections.abc import Mapping

import numpy as np

from unitf.batch import Sample
from unitf.data.seeding import mix
from unitf.errors import UserError, did_you_mean
from unitf.tasks.task import Task

_SALT = 0x6D6F64  # other numbers than those of augmentation


class ModalityDropout:
    """Which inputs a training sample loses, as a function of seed, epoch and index alone.

    A sample never loses all inputs of a task, nor any that a task cannot do without. Targets are
    never lost.

    Args:
        probabilities: how likely each input is lost.
        tasks: the tasks by name.
        seed: of the random numbers.

    Raises:
        UserError: an input is unknown, or a probability is not from 0 to 1.
    """

    def __init__(
        self, probabilities: Mapping[str, float], tasks: Mapping[str, Task], seed: int
    ) -> None:
        known = dict.fromkeys(column for task in tasks.values() for column in task.inputs)
        for column, probability in probabilities.items():
            if column not in known:
                raise UserError(
                    f"data.modality_dropout: no task reads {column!r}" + did_you_mean(column, known)
                )
            if not 0 <= probability <= 1 or math.isnan(probability):
                raise UserError(
                    f"data.modality_dropout.{column}: expected a number from 0 to 1, "
                    f"found {probability}"
                )
        # an input that is the target of another task is not lost
        targets = {task.target for task in tasks.values()}
        self.probabilities: dict[str, float] = {
            column: p for column, p in probabilities.items() if column not in targets
        }
        self.tasks: Mapping[str, Task] = tasks
        self.seed: int = seed

    def __call__(self, sample: Sample, epoch: int, index: int) -> Sample:
        """Returns the sample without the inputs that it loses in an epoch."""
        random = np.random.default_rng(mix(self.seed, epoch, index, _SALT))
        numbers = random.random(len(self.probabilities)).tolist()
        drawn = zip(self.probabilities.items(), numbers, strict=True)
        lost = {column for (column, probability), number in drawn if number < probability}
        for task in self.tasks.values():
            lost -= self._kept(task, sample, lost, random)
        return {column: value for column, value in sample.items() if column not in lost}

    def _kept(
        self, task: Task, sample: Sample, lost: set[str], random: np.random.Generator
    ) -> set[str]:
        """Returns what a sample must keep after all, so that a task can use it."""
        if not task.accepts(sample, labelled=False):
            return set()
        present = [column for column in task.inputs if sample.get(column) is not None]
        kept = {present[int(random.integers(len(present)))]} if lost.issuperset(present) else set()
        left = {c: value for c, value in sample.items() if c not in lost or c in kept}
        return kept if task.accepts(left, labelled=False) else set(present)
