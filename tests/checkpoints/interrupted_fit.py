"""`unitf fit` that gets a signal before a step, as from Ctrl-C: `interrupted_fit.py STEP fit …`."""

import os
import signal
import sys
from typing import Any

import unitf
from unitf.cli import main

_step = unitf.Learner.training_step
_sent: list[int] = []


def _training_step(self: Any, *arguments: Any) -> Any:
    if self.trainer.global_step == int(sys.argv[1]) and not _sent:
        _sent.append(signal.SIGINT)  # once: a second signal would end the process
        os.kill(os.getpid(), signal.SIGINT)
    return _step(self, *arguments)


if __name__ == "__main__":
    unitf.Learner.training_step = _training_step
    sys.exit(main(sys.argv[2:]))
