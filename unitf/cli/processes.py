"""The processes of a run end together, and only the one that failed says why."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch import Trainer

from unitf.errors import UserError

# how torch's backends (gloo, NCCL) and its store name a process that is no longer there
_LOST = ("closed by peer", "reset by peer", "remote process exited", "broken pipe")


@contextmanager
def ending_together(trainer: Trainer) -> Iterator[None]:
    """Where one process fails, the others do not wait for it.

    Lightning's first process watches those that it started; this is the other direction.

    Raises:
        UserError: another process ended, which this one only noticed.
    """
    try:
        yield
    except Exception as error:
        if trainer.world_size > 1 and any(words in str(error).lower() for words in _LOST):
            raise UserError("another process of this run failed, which says why") from error
        kill = getattr(trainer.strategy.launcher, "kill", None)
        if kill is not None:  # they may wait where no gentler signal reaches them
            kill(signal.SIGKILL)
        raise
