"""The processes of a run end together, and only the one that failed says why."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch import Callback, LightningModule, Trainer

from unitf.errors import UserError

# how torch's backends (gloo, NCCL) and its store name a process that is no longer there
_LOST = ("closed by peer", "reset by peer", "remote process exited", "broken pipe")


class EndTogether(Callback):
    """Where the first process fails, those that it started do not wait for it.

    Lightning watches the other direction: where one of them ends, its observer kills the first
    process, even while that says what was wrong. So it is given none to watch.
    """

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        launcher = trainer.strategy.launcher
        started = getattr(launcher, "procs", [])
        if started and isinstance(exception, Exception):  # Ctrl-C is Lightning's own
            if not is_lost(exception):  # they may wait where no gentler signal reaches them
                launcher.kill(signal.SIGKILL)  # type: ignore[union-attr]
            started.clear()


def is_lost(error: BaseException) -> bool:
    """Whether an error is that another process is no longer there."""
    return any(words in str(error).lower() for words in _LOST)


@contextmanager
def noticing_the_others(trainer: Trainer) -> Iterator[None]:
    """Raises UserError where another process ended, which this one only noticed."""
    try:
        yield
    except Exception as error:
        if trainer.world_size > 1 and is_lost(error):
            raise UserError("another process of this run failed, which says why") from error
        raise
