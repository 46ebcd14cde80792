"""How many micro-batches an optimizer step has, as Lightning counts them."""

import math
from collections.abc import Mapping
from typing import cast

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler

from unitf.errors import UserError
from unitf.tasks.task import Task


def batches_of_step(trainer: Trainer) -> int:
    """Returns the number of micro-batches of the optimizer step that begins with the next batch.

    A step ends at a multiple of `accumulate_grad_batches` within the epoch, or with the epoch.
    """
    accumulated = trainer.accumulate_grad_batches
    done = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    left = trainer.num_training_batches - done
    return int(max(1, min(accumulated - done % accumulated, left)))


def longest_step(trainer: Trainer) -> int:
    """Returns the largest number of micro-batches that an optimizer step of the run can have."""
    lengths = [trainer.accumulate_grad_batches]
    for callback in _schedulers(trainer):
        lengths += callback.scheduling.values()
    return max(lengths)


def steps_of_run(trainer: Trainer) -> float:
    """Returns the number of optimizer steps of the run, of a scheduled accumulation too.

    Lightning's estimate takes the accumulation of the first epoch for all of them.
    """
    steps, batches = trainer.estimated_stepping_batches, trainer.num_training_batches
    schedulers, epochs = _schedulers(trainer), trainer.max_epochs
    if not schedulers or math.isinf(batches) or epochs is None or epochs < 0:
        return float(steps)
    lengths = map(schedulers[-1].get_accumulate_grad_batches, range(max(epochs, 1)))
    steps = sum(math.ceil(batches / length) for length in lengths)
    return float(steps if trainer.max_steps == -1 else min(steps, trainer.max_steps))


def set_accumulation(trainer: Trainer) -> None:
    """Sets the scheduled accumulation of the epoch, also where a run resumes within an epoch.

    Lightning does so only where an epoch begins.
    """
    for callback in _schedulers(trainer):
        trainer.accumulate_grad_batches = callback.get_accumulate_grad_batches(
            trainer.current_epoch
        )


def _schedulers(trainer: Trainer) -> list[GradientAccumulationScheduler]:
    callbacks = cast("list[object]", vars(trainer)["callbacks"])  # which Lightning does not declare
    return [each for each in callbacks if isinstance(each, GradientAccumulationScheduler)]


def check_accumulation(tasks: Mapping[str, Task], longest: int) -> None:
    """Checks that no task compares samples of different micro-batches.

    Args:
        tasks: the tasks by name.
        longest: the largest number of micro-batches of an optimizer step.

    Raises:
        UserError: a task compares the samples of a batch, and a step has several batches.
    """
    for name, task in tasks.items():
        if task.compares_samples and longest > 1:
            raise UserError(
                f"trainer.accumulate_grad_batches: found {longest}, expected 1, because the task "
                f"{name} ({type(task).__name__}) compares the samples of a batch with each other: "
                "give a larger data.batch_size or more processes"
            )
