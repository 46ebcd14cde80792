"""What a batch is told of its optimizer step, and when batches are read."""

import pytest
import torch

from unitf.batch import Batch, Counts, TaskBatch
from unitf.data.step_counts import StepCounter


def batch(samples, losses, objects=0):
    counts = Counts(samples, losses, 10 * samples, objects)
    return Batch({"task": TaskBatch({}, None, ("text",) * samples, (), counts=counts)})


def lengths(*numbers):
    return iter(numbers).__next__


def test_a_step_of_one_batch_in_one_process_is_passed_on_as_it_is():
    batches = [batch(3, 5), batch(2, 7)]
    assert list(StepCounter()(iter(batches))) == batches


def test_all_batches_of_a_step_are_read_before_the_first_is_passed_on():
    read = []

    def source():
        for number in range(5):
            read.append(number)
            yield batch(number, 2 * number)

    counted = StepCounter(lengths(2, 2, 2, 2))(source())
    seen = []
    for one in counted:
        seen.append((len(read), one.task_batches["task"].step, one.ends_step))
    assert [number for number, *_ in seen] == [2, 2, 4, 4, 5]
    assert [ends for *_, ends in seen] == [False, True, False, True, True]
    totals = [step and step.total for _, step, _ in seen]
    # the last step of the epoch has one batch, which is all of it
    assert totals == [*[Counts(1, 2, 10)] * 2, *[Counts(5, 10, 50)] * 2, None]


def test_counts_are_summed_over_processes_once_in_a_step():
    sums = []

    def over_processes(counts):
        sums.append(counts.clone())
        other = torch.zeros_like(counts)
        other[0, 0] = torch.tensor([[4, 6, 30, 2, 0]])  # the other process has no second batch
        return counts + other

    counter = StepCounter(lambda: 2, over_processes, rank=1, world=2)
    one, other = counter(iter([batch(1, 3, 1), batch(2, 4)]))
    assert len(sums) == 1 and not sums[0][:, 0].any()
    step, later = one.task_batches["task"].step, other.task_batches["task"].step
    assert step.total == later.total == Counts(7, 13, 60, 3)
    assert step.processes == (Counts(4, 6, 30, 2), Counts(1, 3, 10, 1))
    assert later.processes == (Counts(0, 0, 0, 0), Counts(2, 4, 20, 0))
    assert step.own == Counts(1, 3, 10, 1) and later.own == Counts(2, 4, 20, 0)
    assert (one.step_fraction, other.step_fraction) == pytest.approx((40 / 60, 20 / 60))


def test_a_step_without_tokens_has_finite_fractions():
    one, other = StepCounter(lambda: 2)(iter([batch(0, 0), batch(0, 0)]))
    assert one.step_fraction == other.step_fraction == 0.5
