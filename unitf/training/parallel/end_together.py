"""EndTogether: all processes of a run end together, and only the failed one reports why."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies.launchers.multiprocessing import _MultiProcessingLauncher

from unitf.errors import UserError

# how the errors of torch's backends (gloo, NCCL) and its store name a process that has ended
_LOST = ("closed by peer", "reset by peer", "remote process exited", "broken pipe")


class EndTogether(Callback):
    """Ends the processes that the first process started, if the first process fails.

    Lightning covers the other direction: if a started process ends, Lightning's observer kills
    the first process, even while that reports an error. So the list of processes that the
    observer watches is emptied.
    """

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Kills the started processes, unless they have ended by themselves."""
        launcher = trainer.strategy.launcher
        started = getattr(launcher, "procs", [])
        if started and isinstance(exception, Exception):  # Ctrl-C is Lightning's own
            if not is_lost(exception):  # they may wait where no other signal reaches them
                cast(_MultiProcessingLauncher, launcher).kill(signal.SIGKILL)
            started.clear()


def is_lost(error: BaseException) -> bool:
    """Returns whether an error says that another process has ended."""
    return any(words in str(error).lower() for words in _LOST)


@contextmanager
def noticing_the_others(trainer: Trainer) -> Iterator[None]:
    """A context that raises UserError if the failure is only that another process has ended."""
    try:
        yield
    except Exception as error:
        if trainer.world_size > 1 and is_lost(error):
            raise UserError("another process of this run failed, which says why") from error
        raise
