"""Workload: one kind of work, done by unitf and by a peer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

Limit = Literal["float32", "bfloat16", "read"]  # matrix products, or how fast memory is read


@dataclass(frozen=True)
class Side:
    """One of both, ready to run, in a process of its own.

    Args:
        run: does the work once.
        count: how many units (real ones, not padding) that is.
        outputs: what is compared before anything is timed.
        floats: useful floating-point operations of a run, counted on unitf's side.
        read: useful bytes that a run reads (decoding).
    """

    run: Callable[[], Any]
    count: int
    outputs: Callable[[], Tensor] | None = None
    floats: float | None = None
    read: float | None = None


def precision(half: bool, tolerance: float = 0.1) -> dict[str, Any]:
    """The limit of a workload in bfloat16, or in float32, and how far its outputs may differ."""
    return {
        "limit": "bfloat16" if half else "float32",
        "tolerance": tolerance if half else 1e-4,
    }


@dataclass(frozen=True)
class Workload:
    """What is compared with what, and how much faster unitf is to be.

    Args:
        unit: what is counted: tokens, images, clips, …
        unitf, peer: make a side; each is called in a process of its own.
        must, aim: ratios of the peer's time to unitf's.
        limit: what bounds the work.
        share_must, share_aim: of that limit.
        tolerance: how far outputs may differ, relative to their largest number.
        quick: whether it is part of a quick run.
    """

    name: str
    against: str
    unit: str
    unitf: Callable[[], Side]
    published: Callable[[], Side]
    must: float | None = None
    aim: float | None = None
    limit: Limit | None = None
    share_must: float | None = None
    share_aim: float | None = None
    tolerance: float = 1e-4
    quick: bool = False
