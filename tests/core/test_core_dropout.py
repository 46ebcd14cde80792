"""Dropout on a CPU: the shares are right, numbers are independent, and seeds repeat it."""

import pytest
import torch

from unitf.core.dropout import dropout

SIZE = 400_000


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.9])
def test_the_share_is_zero_and_the_rest_keeps_the_mean(share, dtype):
    torch.manual_seed(0)
    out = dropout(torch.ones(SIZE, dtype=dtype), share).double()
    deviation = (share * (1 - share) / SIZE) ** 0.5
    assert (out == 0).double().mean().item() == pytest.approx(share, abs=5 * deviation + 1e-5)
    kept = out[out != 0]
    rounding = 4e-3 if dtype is torch.bfloat16 else 1e-6
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - share)), rtol=rounding, atol=0)


@pytest.mark.parametrize("distance", range(1, 9))
def test_numbers_side_by_side_are_independent(distance):
    torch.manual_seed(distance)
    dropped = (dropout(torch.ones(SIZE), 0.5) == 0).double() - 0.5
    correlation = (dropped[distance:] * dropped[:-distance]).mean() * 4
    assert correlation.abs() < 5 / SIZE**0.5


@pytest.mark.parametrize("lane", range(4))
def test_each_quarter_of_a_draw_has_the_share(lane):
    torch.manual_seed(lane)
    dropped = dropout(torch.ones(SIZE // 4, 4), 0.3)[:, lane] == 0
    assert dropped.double().mean().item() == pytest.approx(0.3, abs=5 * (0.21 / (SIZE / 4)) ** 0.5)


def test_a_gradient_passes_where_a_number_does():
    values = torch.randn(7, 5, requires_grad=True)  # not a multiple of four
    out = dropout(values, 0.4)
    out.sum().backward()
    torch.testing.assert_close(values.grad * values.detach(), out.detach())
    assert 0 < (values.grad == 0).sum() < values.numel()


def test_a_seed_repeats_it_and_the_next_call_differs():
    values = torch.ones(1000)
    torch.manual_seed(3)
    first, second = dropout(values, 0.5), dropout(values, 0.5)
    torch.manual_seed(3)
    assert torch.equal(dropout(values, 0.5), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("share", "training"), [(0.0, True), (0.5, False)])
def test_nothing_is_drawn_where_nothing_is_dropped(share, training):
    values = torch.randn(9)
    before = torch.get_rng_state()
    assert dropout(values, share, training) is values
    assert torch.equal(torch.get_rng_state(), before)


def test_nothing_at_all_is_dropped_from():
    assert dropout(torch.zeros(0, 4), 0.5).shape == (0, 4)
