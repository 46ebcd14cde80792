"""Intervals: the bootstrap agrees with what is known of a share, a mean and a small part."""

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC
from torchmetrics.regression import PearsonCorrCoef

from unitf.analysis.report.intervals import wilson
from unitf.analysis.report.markup import number
from unitf.analysis.report.tried_samples import drawn
from unitf.tasks.metrics.bootstrap import bootstrap
from unitf.tasks.metrics.task_metrics import TaskMetrics


def groups(size, right=0.8, seed=0):
    random = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(40):
        target = torch.randint(3, (size,), generator=random)
        other = (target + 1) % 3
        hit = torch.rand(size, generator=random) < right
        noise = torch.rand(size, 3, generator=random) / 2
        probabilities = torch.nn.functional.one_hot(torch.where(hit, target, other), 3) + noise
        metrics = TaskMetrics(
            {
                "accuracy": MulticlassAccuracy(3, average="micro"),
                "auroc": MulticlassAUROC(3),
            }
        )
        metrics.update(probabilities / probabilities.sum(1, keepdim=True), target)
        made.append(metrics)
    return made


def test_a_share_has_about_the_interval_of_wilson():
    whole, found = bootstrap(groups(25), repeats=400)
    low, high = wilson(whole["accuracy"], 1000)
    assert found["accuracy"] == pytest.approx((low, high), abs=0.007)
    assert found["auroc"][0] < whole["auroc"] < found["auroc"][1]


def test_the_interval_of_four_times_as_many_samples_is_half_as_wide():
    whole, found = bootstrap(groups(25))
    halved = bootstrap(groups(25), scale=0.5)[1]["accuracy"]
    expected = [(end + whole["accuracy"]) / 2 for end in found["accuracy"]]
    assert halved == pytest.approx(expected)


def test_states_that_processes_gather_are_joined():
    numbers = torch.randn(40, 2, 10, generator=torch.Generator().manual_seed(0))
    parts = []
    for x, noise in numbers:
        parts.append(TaskMetrics({"pearson": PearsonCorrCoef()}))
        parts[-1].update(x + noise, x)
    x, noise = numbers.transpose(0, 1).flatten(1).numpy()
    whole, found = bootstrap(parts)
    assert whole["pearson"] == pytest.approx(np.corrcoef(x + noise, x)[0, 1], abs=1e-5)
    assert found["pearson"][0] < whole["pearson"] < found["pearson"][1]


def test_without_time_there_are_figures_but_no_intervals():
    whole, found = bootstrap(groups(2), seconds=0.0)
    assert 0 < whole["accuracy"] < 1 and found == {}


def test_numbers_have_the_digits_that_they_deserve():
    values = (0.5, 0.00012345, 1.5, 12.3456, 1234.5, 1_000_000)
    assert [number(v) for v in values] == [
        "0.5000", "0.00012", "1.500", "12.35", "1,234", "1,000,000",
    ]  # fmt: skip


def test_samples_of_all_sources_are_drawn_once():
    assert sorted(drawn([3, 0, 2], 9)) == [(0, 0, 0), (0, 0, 1), (0, 0, 2), (2, 0, 0), (2, 0, 1)]
    few = drawn([1_000_000, 1_000_000], 50)
    assert len({*few}) == 50 and {source for source, *_ in few} == {0, 1}
