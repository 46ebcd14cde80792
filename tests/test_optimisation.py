"""The schedule: linear warm-up, half a cosine, and what a longer run makes of it."""

import pytest
import torch

from unitf.optimisation import WarmupCosine


def schedule_of(total_steps: int) -> WarmupCosine:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    return WarmupCosine(optimizer, warmup=0.1, total_steps=total_steps)


def rates_of(schedule: WarmupCosine, steps: int) -> list[float]:
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        schedule.optimizer.step()
        schedule.step()
    return rates


def test_the_rate_rises_linearly_and_falls_as_half_a_cosine():
    rates = rates_of(schedule_of(20), 21)
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert rates[11] == pytest.approx(0.5)
    assert rates[20] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("longer", [20, 40])
def test_a_run_that_goes_on_anneals_to_its_own_end(longer):
    first = schedule_of(20)
    rates_of(first, 10)
    second = schedule_of(longer)
    second.load_state_dict(first.state_dict())
    rates = rates_of(second, longer - 10)
    expected = [second.factor(step) for step in range(10, longer)]
    assert rates[1:] == pytest.approx(expected[1:])
    assert rates[-1] < 0.02 < rates[-5]
