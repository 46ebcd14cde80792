"""Watchdog: ends all processes of a run when none of them goes on, and names the one that hangs."""

import json
import os
import signal
import sys
import threading
import time
from dataclasses import asdict
from typing import Protocol, cast, runtime_checkable

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed, nn

from unitf.errors import UserError
from unitf.training.parallel.heartbeat import Heartbeat, compiles, hanging, heartbeat, named

_PREFIX = "unitf/watchdog"
_VERDICT = "verdict"
_LONGEST = 10.0  # seconds between two heartbeats


class Watchdog(Callback):
    """Ends a run of several processes in which no process has gone on for some time.

    A process that hangs (a lock, a file system that does not answer, an endless loop in a plugin)
    makes all others wait. Each process says in the store of the process group, from a thread of
    its own and without a collective, how far it is; the first process compares. A process that
    writes texts, compiles or is behind but at work is not taken for one that hangs, and tokenizers
    are fitted before the watch begins.

    Args:
        timeout: the seconds after which a run that does not go on is ended.
    """

    def __init__(self, timeout: float = 600.0) -> None:
        if timeout <= 0:
            raise UserError(f"Watchdog: timeout: found {timeout}, expected more than 0 (seconds)")
        self.timeout: float = timeout
        self._batch = self._phase = self._beats = 0
        self._watching = False
        self._ended = threading.Event()
        self._hook: torch.utils.hooks.RemovableHandle | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins to watch, if there are several processes."""
        self._begin(trainer, pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins to watch, if there are several processes."""
        self._begin(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins to watch a validation that no training does; a fit begins when it trains."""
        if trainer.state.fn != "fit":
            self._begin(trainer, pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins to watch, if there are several processes."""
        self._begin(trainer, pl_module)

    def on_train_batch_start(self, *args: object, **kwargs: object) -> None:
        """Counts the batch."""
        self._batch += 1
        self._reach(1)

    def on_before_backward(self, *args: object, **kwargs: object) -> None:
        """Says that the backward pass begins."""
        self._reach(2)

    def on_before_optimizer_step(self, *args: object, **kwargs: object) -> None:
        """Says that the optimizer step begins."""
        self._reach(3)

    def on_train_batch_end(self, *args: object, **kwargs: object) -> None:
        """Says that the batch has ended."""
        self._reach(4)

    def on_validation_batch_start(self, *args: object, **kwargs: object) -> None:
        """Says that a batch is evaluated."""
        self._reach(5)

    def on_validation_epoch_end(self, *args: object, **kwargs: object) -> None:
        """Says that the validation has ended."""
        self._reach(6)

    def on_test_batch_start(self, *args: object, **kwargs: object) -> None:
        """Says that a batch is tested."""
        self._reach(5)

    def on_predict_batch_start(self, *args: object, **kwargs: object) -> None:
        """Says that a batch is predicted."""
        self._reach(5)

    def on_predict_epoch_end(self, *args: object, **kwargs: object) -> None:
        """Says that the prediction has ended."""
        self._reach(6)

    def on_test_epoch_end(self, *args: object, **kwargs: object) -> None:
        """Says that the test has ended."""
        self._reach(6)

    def on_save_checkpoint(self, *args: object, **kwargs: object) -> None:
        """Says that a checkpoint is written."""
        self._beats += 1

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Ends the watch."""
        self._end()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Ends the watch: the failure has a reason of its own."""
        self._end()

    def _reach(self, phase: int) -> None:
        self._phase = phase
        self._beats += 1

    def _begin(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.world_size == 1 or not distributed.is_initialized() or self._watching:
            return
        self._ended.clear()
        self._hook = _core(module).register_forward_pre_hook(self._count_forward)
        self._watching = True
        _HangDetector(self, trainer, threading.get_ident()).start()

    def _count_forward(self, module: nn.Module, inputs: object) -> None:
        self._beats += 1  # so a process that writes a long text is at work

    def _end(self) -> None:
        self._ended.set()
        if self._hook is not None:
            self._hook.remove()
        self._hook, self._watching = None, False

    def wait(self, seconds: float) -> bool:
        """Waits; returns whether the watch has ended."""
        return self._ended.wait(seconds)

    def heartbeat(self, main_thread: int) -> Heartbeat:
        """Returns what this process says of itself; `main_thread` is the one that trains."""
        if compiles(main_thread):
            self._beats += 1
        return heartbeat(main_thread, self._beats, self._batch, self._phase)


class _HangDetector:
    """The threads of a Watchdog: one talks to the store, which may not answer; one looks at both.

    Args:
        watchdog: its settings and its process.
        trainer: the trainer, whose processes end.
        main_thread: the thread that trains.
    """

    def __init__(self, watchdog: Watchdog, trainer: Trainer, main_thread: int) -> None:
        self.watchdog = watchdog
        self.trainer = trainer
        self.main_thread = main_thread
        self.rank, self.world = trainer.global_rank, trainer.world_size
        self.interval = min(watchdog.timeout / 8, _LONGEST)
        # a client of its own: a call that waits does not hold the lock of the main thread's
        self.store = distributed.PrefixStore(_PREFIX, _default_store().clone())
        self.heard: dict[int, tuple[int, float]] = {}  # by rank: its beats, and since when
        self.answered: float = time.monotonic()  # when the store answered last
        self._say(watchdog.heartbeat(main_thread))
        # the last that the first process said; this waits for it
        self.first: Heartbeat = _heartbeat(self.store.get("0"))

    def start(self) -> None:
        """Starts to send and to compare heartbeats."""
        for work in (self._talk, self._guard):
            threading.Thread(target=work, name="watchdog", daemon=True).start()

    def _talk(self) -> None:
        """Sends heartbeats, and looks at those of the others, until the watch ends."""
        try:
            while True:
                self._look(self.watchdog.heartbeat(self.main_thread))
                self.answered = time.monotonic()
                if self.watchdog.wait(self.interval):
                    return
        except RuntimeError:  # the process of the store has ended, which others notice
            return

    def _guard(self) -> None:
        """Ends this process if it stands still and the store does not answer."""
        moved, beats = time.monotonic(), -1
        while not self.watchdog.wait(self.interval):
            now = time.monotonic()
            own = self.watchdog.heartbeat(self.main_thread)
            moved, beats = (moved if own.beats == beats else now), own.beats
            patience = self.watchdog.timeout + (3 + self.rank) * self.interval
            if now - max(moved, self.answered) > patience:
                self._end(own, self._silent())

    def _look(self, own: Heartbeat) -> None:
        self._say(own)
        if self.rank > 0:
            self._look_at_first(own)
            return
        beats = {rank: self._read(rank) for rank in range(self.world)}
        stale = [self._since(rank, beat) for rank, beat in beats.items()]
        if min(stale) > self.watchdog.timeout:
            line = hanging(beats, self.watchdog.timeout)
            self.store.set(_VERDICT, line)
            self._end(own, line)

    def _look_at_first(self, own: Heartbeat) -> None:
        """Ends this process if the first one says so, or if the first one is silent itself."""
        if self.store.check([_VERDICT]):
            self.watchdog.wait(2 * self.interval)  # the first process says it, and ends the others
            self._end(own, "")
        stale = min(self._since(0, self._read(0)), self._since(self.rank, own))
        if stale > self.watchdog.timeout + (3 + self.rank) * self.interval:
            self._end(own, self._silent())

    def _say(self, own: Heartbeat) -> None:
        self.store.set(str(self.rank), json.dumps(asdict(own)))

    def _silent(self) -> str:
        return f"{named(0, self.first)} has not gone on for {self.watchdog.timeout:g} s"

    def _read(self, rank: int) -> Heartbeat | None:
        """Returns the last heartbeat of a process; None if it has sent none."""
        if not self.store.check([str(rank)]):
            return None
        beat = _heartbeat(self.store.get(str(rank)))
        if rank == 0:
            self.first = beat
        return beat

    def _since(self, rank: int, beat: Heartbeat | None) -> float:
        """Returns for how many seconds a process has said nothing new."""
        beats, now = -1 if beat is None else beat.beats, time.monotonic()
        known, since = self.heard.get(rank, (None, now))
        if known != beats:
            since = now
        self.heard[rank] = (beats, since)
        return now - since

    def _end(self, own: Heartbeat, line: str) -> None:
        """Ends this process, those that it started, and a first process of this host."""
        if line:
            sys.stderr.write(f"unitf: {line}; all processes end\n")
            sys.stderr.flush()
        launcher = self.trainer.strategy.launcher
        for process in getattr(launcher, "procs", []):
            process.kill()
        if line and self.rank and self.first.host == own.host:
            os.kill(self.first.pid, signal.SIGKILL)
        os._exit(1)  # the main thread stands where no exception reaches it


def _heartbeat(said: bytes) -> Heartbeat:
    return Heartbeat(**json.loads(said))


def _core(module: LightningModule) -> nn.Module:
    model = getattr(module, "model", module)
    return cast(nn.Module, getattr(model, "core", model))


@runtime_checkable
class _Store(Protocol):
    """What torch's types do not declare of a store."""

    def clone(self) -> distributed.Store:
        """Returns another client of the store."""
        ...


def _default_store() -> _Store:
    from torch.distributed.distributed_c10d import _get_default_store

    return cast(_Store, _get_default_store())
