"""Work: how many floating point operations a step needs, and how many a device can do."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from unitf.core.attention.kernels import Kernel
from unitf.core.attention.sdpa import AttentionSpec
from unitf.core.recorder import (
    AttentionKind,
    AttentionRecorder,
    AttentionScope,
    WatchedCore,
)

_SIZES = {"cuda": 8192}  # of the square matrices whose product is timed; elsewhere 2048
_SECONDS = 3.0


def count_flops(core: WatchedCore, loss: Callable[[], Tensor]) -> int:
    """Counts the operations of a forward and backward pass: 2 for each multiply-add.

    Attention counts only for pairs of tokens that see each other, whatever else a kernel computes.
    Other products count as torch executes them; operations element by element do not count.
    """
    counter = FlopCounterMode(display=False)
    eager = torch.compiler.set_stance("force_eager")  # the counter cannot see compiled code
    with _without_attention(core) as attention, eager, counter:
        value = loss()
        attention.counts = False  # gradient checkpointing computes attention a second time
        value.backward()
    return counter.get_total_flops() + attention.flops


class _AttentionCounter(AttentionRecorder):
    """Replaces each kernel by a function of no cost, and counts the operations it needs."""

    def __init__(self) -> None:
        super().__init__(depth=0)
        self.counts = True
        self.flops = 0

    def over(
        self,
        kind: AttentionKind,
        kernel: Kernel,
        pattern: AttentionSpec,
        lengths: tuple[int, ...],
        prefix: Sequence[int] | None = None,
    ) -> Kernel:
        scope = AttentionScope.of(kind, pattern, lengths, prefix)
        pairs = sum(int(scope.seen(number).sum()) for number in range(len(lengths)))

        def stand_in(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            if self.counts:
                forward = 4 * pairs * q.shape[1] * q.shape[2]  # scores, and sums of values
                trained = q.requires_grad or k.requires_grad or v.requires_grad
                self.flops += forward * (3 if trained else 1)  # backward: two for each product
            return q + 0 * (k.sum() + v.sum())  # gradients flow to q, k and v

        return stand_in


@contextmanager
def _without_attention(core: WatchedCore) -> Iterator[_AttentionCounter]:
    """Counts the core's attention inside the context, instead of computing it."""
    counter = _AttentionCounter()
    try:
        for stack in core.stacks:
            stack.recorder = counter
        yield counter
    finally:
        for stack in core.stacks:
            stack.recorder = None


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Returns the operations per second of a large matrix product: the best of several tries."""
    size = _SIZES.get(device.type, 2048)
    left, right = torch.randn(2, size, size, device=device).to(dtype)
    out = left @ right
    shortest, until = float("inf"), time.perf_counter() + _SECONDS
    while shortest == float("inf") or time.perf_counter() < until:
        _wait(device)
        begin = time.perf_counter()
        torch.matmul(left, right, out=out)
        _wait(device)
        shortest = min(shortest, time.perf_counter() - begin)
    return 2 * size**3 / shortest


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
