"""Cross-entropy a few tokens at a time is that of torch, and so are its gradients."""

import pytest
import torch
from torch.nn import functional as F

from unitf.nn import cross_entropy as module
from unitf.nn.cross_entropy import cross_entropy
from unitf.nn.reference_mode import reference_mode


def made(num_tokens=7, size=11, dtype=torch.float32):
    torch.manual_seed(0)
    logits = torch.randn(num_tokens, size).mul_(4).to(dtype).requires_grad_()
    return logits, torch.randint(size, (num_tokens,)), torch.rand(num_tokens)


def expected(logits, ids, weights, smoothing):
    wide = logits.detach().float().requires_grad_()
    losses = F.cross_entropy(wide, ids, reduction="none", label_smoothing=smoothing)
    (losses * weights).sum().backward()
    plain = F.cross_entropy(wide, ids, reduction="none").detach()
    return losses.detach(), plain, wide.grad


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("numbers", [1, 22, 30, 1000])  # one token, two, two, all at a time
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_that_of_torch(dtype, smoothing, numbers, plain, monkeypatch):
    monkeypatch.setitem(module._NUMBERS, "cpu", numbers)
    logits, ids, weights = made(dtype=dtype)
    with reference_mode(plain):
        losses, entropies = cross_entropy(logits, ids, smoothing)
        (losses * weights).sum().backward()
    assert losses.dtype == entropies.dtype == torch.float32
    assert not entropies.requires_grad
    wanted = expected(logits, ids, weights, smoothing)
    torch.testing.assert_close((losses.detach(), entropies), wanted[:2])
    torch.testing.assert_close(logits.grad, wanted[2].to(dtype))


def test_it_goes_back_twice_and_may_lie_the_other_way():
    logits, ids, weights = made()
    leaf = logits.detach().mT.contiguous().requires_grad_()
    losses, _ = cross_entropy(leaf.mT, ids, 0.1)
    loss = (losses * weights).sum()
    (first,) = torch.autograd.grad(loss, leaf, retain_graph=True)
    (second,) = torch.autograd.grad(loss, leaf)
    wanted = expected(logits, ids, weights, 0.1)[2]
    torch.testing.assert_close(first.mT, wanted)
    assert torch.equal(first, second)


def test_there_may_be_no_token_and_no_gradient():
    logits, ids, _ = made(0)
    losses, entropies = cross_entropy(logits, ids, 0.1)
    losses.sum().backward()
    assert logits.grad.shape == (0, 11)
    assert losses.shape == entropies.shape == (0,)
    with torch.inference_mode():
        some, ids, _ = made()
        assert not cross_entropy(some.detach(), ids)[0].requires_grad


def test_infinite_logits_are_no_nan():
    logits, ids, weights = made()
    with torch.no_grad():
        logits[:, 0] = -torch.inf
    ids.clamp_(min=1)
    losses, _ = cross_entropy(logits, ids)
    (losses * weights).sum().backward()
    wanted = expected(logits, ids, weights, 0.0)
    torch.testing.assert_close((losses.detach(), logits.grad), (wanted[0], wanted[2]))


def test_an_id_beyond_the_vocabulary_is_an_error():
    logits, ids, _ = made()
    ids[3] = 11
    with pytest.raises((RuntimeError, IndexError), match="out of bounds"):
        cross_entropy(logits, ids)
