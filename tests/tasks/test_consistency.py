"""R-Drop: two passes are compared by their divergences, at once or a few tokens at a time."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from unitf.nn import cross_entropy as module
from unitf.nn.reference_mode import reference_mode
from unitf.tasks.common.r_drop import losses_of_two

IDS = torch.tensor([3, 0, 6, 1, 3])


def logits(dtype=torch.float64):
    torch.manual_seed(0)
    return [torch.randn(5, 7, dtype=dtype).mul_(3).requires_grad_() for _ in range(2)]


@pytest.mark.parametrize("plain", [True, False])
def test_two_passes_are_compared_by_their_divergences(plain):
    one, other = logits()
    with reference_mode(plain):
        loss, entropies = losses_of_two(one, other, IDS, 0.2, 3.0)
    entropy = partial(F.cross_entropy, target=IDS, reduction="none")
    torch.testing.assert_close(entropies, ((entropy(one) + entropy(other)) / 2).detach())
    apart = partial(F.kl_div, reduction="none", log_target=True)
    p, q = one.log_softmax(-1), other.log_softmax(-1)
    divergences = (apart(p, q) + apart(q, p)).sum(-1) / 2
    both = entropy(one, label_smoothing=0.2) + entropy(other, label_smoothing=0.2)
    torch.testing.assert_close(loss, (both + 3 * divergences) / 2)


@pytest.mark.parametrize("numbers", [1, 20, 1000])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_gradients_are_those_of_the_plain_way(smoothing, numbers, monkeypatch):
    monkeypatch.setitem(module._NUMBERS, "cpu", numbers)
    weights = torch.arange(1.0, 6.0, dtype=torch.float64)
    found = []
    for plain in (True, False):
        pair = logits()
        with reference_mode(plain):
            loss, _ = losses_of_two(*pair, IDS, smoothing, 5.0)
            (loss * weights).sum().backward()
        found.append([loss.detach(), pair[0].grad, pair[1].grad])
    torch.testing.assert_close(found[0], found[1])


def test_half_precision_is_widened():
    pair = [each.detach().bfloat16().requires_grad_() for each in logits()]
    loss, _ = losses_of_two(*pair, IDS, 0.1, 5.0)
    loss.sum().backward()
    wide = [each.detach().float().requires_grad_() for each in pair]
    expected, _ = losses_of_two(*wide, IDS, 0.1, 5.0)
    expected.sum().backward()
    torch.testing.assert_close(loss, expected)
    for narrow, exact in zip(pair, wide, strict=True):
        torch.testing.assert_close(narrow.grad, exact.grad.bfloat16())
