"""HostSum: sums numbers of the host over all processes, without waiting for a device."""

from typing import cast

from torch import Tensor, distributed


class HostSum:
    """A sum over the processes of a run, which have joined.

    Numbers of the host go through a gloo group of their own: through the device, each sum would
    wait until the device has done all that was queued.
    """

    def __init__(self) -> None:
        group = distributed.new_group(backend="gloo")
        self._group: distributed.ProcessGroup = cast(distributed.ProcessGroup, group)

    def __call__(self, numbers: Tensor) -> Tensor:
        """Returns the sum of the numbers of all processes."""
        total = numbers.clone()
        distributed.all_reduce(total, group=self._group)
        return total


def have_joined() -> bool:
    """Returns whether processes of this run can talk to each other."""
    return distributed.is_available() and distributed.is_initialized()
