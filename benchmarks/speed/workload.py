"""Workload: one kind of work that unitf and another library (the peer) do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

Limit = Literal["float32", "bfloat16", "read"]  # the speed of matrix products, or of reading memory


@dataclass(frozen=True)
class Side:
    """One side of a workload: unitf or the peer, ready to run.

    Args:
        run: does the work once.
        count: the number of units of one run, without padding.
        outputs: returns the outputs that are compared before the timing.
        floats: useful floating-point operations of a run, counted on unitf's side.
        read: useful bytes that a run reads (decoding).
    """

    run: Callable[[], Any]
    count: int
    outputs: Callable[[], Tensor] | None = None
    floats: float | None = None
    read: float | None = None


def precision(half: bool, tolerance: float = 0.1) -> dict[str, Any]:
    """Returns the limit and the tolerance of a workload in bfloat16 (`half`) or float32."""
    return {
        "limit": "bfloat16" if half else "float32",
        "tolerance": tolerance if half else 1e-4,
    }


@dataclass(frozen=True)
class Workload:
    """A comparison with a peer, and the required ratios of speed.

    Args:
        against: a description of the peer.
        unit: the unit of `count`: tokens, images, clips, …
        unitf, peer: make a side; each is called in its own process.
        must, aim: the required and the desired ratio of the peer's time to unitf's.
        limit: the resource of the machine that bounds the work.
        share_must, share_aim: the required and the desired fraction of that limit.
        tolerance: the largest difference of outputs relative to their largest number.
        quick: whether the workload is part of a quick run.
    """

    name: str
    against: str
    unit: str
    unitf: Callable[[], Side]
    peer: Callable[[], Side]
    must: float | None = None
    aim: float | None = None
    limit: Limit | None = None
    share_must: float | None = None
    share_aim: float | None = None
    tolerance: float = 1e-4
    quick: bool = False
