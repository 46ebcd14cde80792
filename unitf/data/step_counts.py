"""Looks ahead over the micro-batches of an optimizer step, and counts what the step has."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from unitf.batch import Batch, Counts, StepCounts, TaskBatch


def _one() -> int:
    return 1


def _same(counts: Tensor) -> Tensor:
    return counts


@dataclass(frozen=True)
class StepCounter:
    """Tells each batch the counts of its optimizer step, before the first batch of the step.

    All batches of a step are read before the first is passed on. The counts are on the host and are
    summed once in a step, so no forward pass waits for another.

    Args:
        num_batches: returns the number of batches of the step that begins; it is called when the
            first of them is requested.
        over_processes: returns the sum of a tensor over all processes.
        rank: the number of this process.
        world: the number of processes.
    """

    num_batches: Callable[[], int] = _one
    over_processes: Callable[[Tensor], Tensor] = _same
    rank: int = 0
    world: int = 1

    def __call__(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yields the batches, each with the counts of its step."""
        while step := list(islice(batches, self.num_batches())):
            counted = deque(self._counted(step))
            step.clear()
            while counted:  # a batch that was passed on is not kept
                yield counted.popleft()

    def _counted(self, step: Sequence[Batch]) -> Sequence[Batch]:
        """Returns the batches of one step with its counts; a step of one batch stays as it is."""
        if len(step) * self.world == 1:
            return step
        names = list(step[0].task_batches)
        own = [[_counts(batch.task_batches[name]) for name in names] for batch in step]
        counts = torch.zeros(len(step), self.world, len(names), len(Counts._fields)).double()
        counts[:, self.rank] = torch.tensor(own, dtype=torch.float64).view(
            len(step), len(names), -1
        )
        table = _table(self.over_processes(counts))
        totals = {
            name: Counts.sum(process[task] for batch in table for process in batch)
            for task, name in enumerate(names)
        }
        tokens = [sum(c.tokens for process in batch for c in process) for batch in table]
        return [
            replace(
                batch,
                task_batches=self._task_batches(batch.task_batches, totals, parts),
                step_fraction=tokens[number] / sum(tokens) if sum(tokens) else 1 / len(step),
                ends_step=number == len(step) - 1,
            )
            for number, (batch, parts) in enumerate(zip(step, table, strict=True))
        ]

    def _task_batches(
        self,
        batches: Mapping[str, TaskBatch],
        totals: Mapping[str, Counts],
        processes: Sequence[Sequence[Counts]],
    ) -> dict[str, TaskBatch]:
        """Returns the batches of all tasks with the counts of the step."""
        parts = zip(*processes, strict=True)  # of each task, the counts of each process
        return {
            name: replace(batch, step=StepCounts(totals[name], part, self.rank))
            for (name, batch), part in zip(batches.items(), parts, strict=True)
        }


def _counts(batch: TaskBatch) -> Counts:
    return batch.counts or Counts(batch.num_samples, batch.num_samples, batch.num_tokens)


def _table(counts: Float[Tensor, "B W T 5"]) -> list[list[list[Counts]]]:
    """Returns the counts by batch, process and task."""
    rows = cast("list[list[list[list[float]]]]", counts.tolist())
    return [[[_from_row(task) for task in process] for process in batch] for batch in rows]


def _from_row(row: Sequence[float]) -> Counts:
    samples, losses, tokens, objects, weights = row
    return Counts(int(samples), int(losses), int(tokens), int(objects), weights)
