"""Work: the floating point operations that a step needs, and how many the machine can do."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from unitf.core.attention.kernels import Kernel
from unitf.core.attention.sdpa import AttentionSpec
from unitf.core.recorder import AttentionKind, AttentionRecorder, AttentionScope

_SIZES = {"cuda": 8192}  # of the square matrices whose product is timed; elsewhere 2048
_SECONDS = 3.0


def count_flops(core: Any, loss: Callable[[], Tensor]) -> int:
    """The operations of a forward and backward pass: 2 for each multiplication and addition.

    Of attention only pairs of tokens that see each other count, whatever a kernel computes beside
    them; other products count as torch executes them, element by element operations not at all.
    """
    counter = FlopCounterMode(display=False)
    eager = torch.compiler.set_stance("force_eager")  # nothing is seen of what is compiled
    with _without_attention(core) as attention, eager, counter:
        value = loss()
        attention.counts = False  # a block that is computed again attends again
        value.backward()
    return counter.get_total_flops() + attention.flops


class _Attended(AttentionRecorder):
    """Puts something that costs nothing in the place of kernels, and counts what they are for."""

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
                self.flops += forward * (
                    3 if trained else 1
                )  # for each product two on the way back
            return q + 0 * (k.sum() + v.sum())  # gradients go on to what made all three

        return stand_in


@contextmanager
def _without_attention(core: Any) -> Iterator[_Attended]:
    attended = _Attended()
    try:
        for stack in core.stacks:
            stack.recorder = attended
        yield attended
    finally:
        for stack in core.stacks:
            stack.recorder = None


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of the product of two large square matrices: the best of some tries."""
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
