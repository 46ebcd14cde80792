"""Lightning's loops, with a resume that is exact at every point of a run.

Lightning 2.6 resumes from counters whose meaning depends on which hook saved them. From some of
them it skips a validation, a step of a schedule or the end of an epoch, and with `max_steps` it
takes a batch too many. These loops write where the run stands into the checkpoint, and set the
counters by it.
"""

import logging
import math
from collections.abc import Mapping
from typing import cast

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loops.evaluation_loop import _EvaluationLoop
from lightning.pytorch.loops.fetchers import _DataFetcher
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.loops.progress import _ProcessedTracker
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from unitf.data.epoch_sampler import EpochSampler, EpochStart, Stretch
from unitf.data.loader import Loader
from unitf.data.stream import StreamSampler
from unitf.training.epoch_means import epoch_means, restore_epoch_means
from unitf.training.going_on import (
    Continuation,
    Standing,
    changes,
    continuation,
    of_counters,
    stream_continuation,
)
from unitf.training.optimization import go_on_with_schedule

_log: logging.Logger = logging.getLogger(__name__)


class ExactValidationLoop(_EvaluationLoop):
    """The loop over the validation batches of a training."""

    def _on_evaluation_end(self, *args: object, **kwargs: object) -> None:
        # before the hooks, which may save
        epoch_loop = self.trainer.fit_loop.epoch_loop
        if isinstance(epoch_loop, ExactEpochLoop) and not self.trainer.sanity_checking:
            epoch_loop.validated_after = _of(epoch_loop.batch_progress.total).processed
        super()._on_evaluation_end(*args, **kwargs)


class ExactEpochLoop(_TrainingEpochLoop):
    """The loop over the batches of an epoch."""

    validated_after: int = -1  # the number of batches of the run, at the last validation
    ends_only: bool = False  # whether a resumed epoch has only its end left, or a validation
    missing: int = 0  # how many batches a resumed epoch is shorter than a whole one

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """Trains on a batch, unless a resumed run has first to do what follows its last batch."""
        if self.restarting:
            self.restarting = False
            self._skip_next_val = self.is_validated
            if self.ends_only or (
                self._should_check_val_fx(data_fetcher) and not self.is_validated
            ):
                self.ends_only = False
                if not self._should_accumulate():
                    self._batches_that_stepped -= 1  # `on_advance_end` counts the step
                return
            self._skip_next_val = False
        super().advance(data_fetcher)

    @property
    def is_validated(self) -> bool:
        """Whether a validation followed the last batch."""
        return self.validated_after == _of(self.batch_progress.total).processed

    @property
    def done(self) -> bool:
        """Whether no batch of the epoch is left, and nothing of its end."""
        return super().done and not (self.restarting and self.ends_only)

    def _should_check_val_fx(self, data_fetcher: _DataFetcher) -> bool:
        # a shorter epoch validates as many batches before its end as a whole one
        current = self.batch_progress.current
        current.ready += self.missing
        try:
            return super()._should_check_val_fx(data_fetcher)
        finally:
            current.ready -= self.missing


class ExactFitLoop(_FitLoop):
    """The loop over the epochs of a run."""

    epoch_loop: ExactEpochLoop
    start: EpochStart = EpochStart()  # where the epoch began in this process
    lead: int = 0  # how many batches Lightning counts in the epoch before the first of the stretch
    saved: Standing | None = None  # of the checkpoint that the run goes on from
    pending: bool = False  # whether the end of an epoch is to be done, also of the last one

    def begin_epoch(self) -> EpochStart:
        """Returns where the batches of the epoch begin; the first batch is about to be read."""
        epoch = _of(self.epoch_progress.current).processed
        if epoch != self.start.epoch:
            self.start, self.lead = EpochStart(epoch), 0
        return self.start

    def _iteration_based_training(self) -> bool:
        return False  # else every run with `max_steps` is taken for one within an epoch

    @property
    def done(self) -> bool:
        """Whether the run is at its end, and that of its last epoch is done."""
        return super().done and not self.pending

    def run(self) -> None:
        """Trains; a run that resumes goes on where it stood."""
        self.setup_data()
        if self._loaded_from_state_dict and self._has_length:
            self._go_on()
        super().run()

    def on_advance_end(self) -> None:
        """Ends an epoch; then callbacks may save it (`on_epoch_complete`)."""
        self._restarting = False  # else a plateau is not noticed at the end of a resumed epoch
        self.pending = False
        super().on_advance_end()
        if self._has_length:
            self.epoch_loop.missing = 0
            self.max_batches = self._whole
        for callback in self.trainer.checkpoint_callbacks:
            if (save := getattr(callback, "on_epoch_complete", None)) is not None:
                save(self.trainer, self.trainer.lightning_module)

    # ---- what a checkpoint holds -------------------------------------------------------

    def on_save_checkpoint(self) -> dict[str, object]:
        """Returns the state of the loop, with where the run stands."""
        state = cast(dict[str, object], super().on_save_checkpoint())
        if self._has_length:
            state["unitf"] = self._standing().to_plain()
        return state

    def on_load_checkpoint(self, state_dict: dict[str, object]) -> None:
        """Reads where the run stood."""
        super().on_load_checkpoint(state_dict)
        plain = cast("Mapping[str, object] | None", state_dict.get("unitf"))
        self.saved = None if plain is None else Standing.of_plain(plain)

    def _standing(self) -> Standing:
        epoch_loop = self.epoch_loop
        batches = _of(epoch_loop.batch_progress.current).processed
        metrics = self.trainer._logger_connector._callback_metrics
        ended = _of(self.epoch_progress.current).processed > self.start.epoch
        return Standing(
            self.start._replace(step=batches - self.lead),
            self._stretch(),
            batches,
            int(self.max_batches),
            self._order.identity,
            ended=ended,
            validated=epoch_loop.is_validated,
            stopped=self.trainer.should_stop,
            metrics={name: float(value) for name, value in metrics.items() if value.numel() == 1},
            means=[] if ended else epoch_means(epoch_loop._results, self.trainer),
        )

    @property
    def _has_length(self) -> bool:
        """Whether the training batches are those of a DataModule."""
        loaders = [] if self._combined_loader is None else self._combined_loader.flattened
        return len(loaders) == 1 and isinstance(loaders[0], Loader)

    @property
    def _order(self) -> EpochSampler | StreamSampler:
        assert self._combined_loader is not None
        return cast(Loader, self._combined_loader.flattened[0]).order

    @property
    def _whole(self) -> int:
        """The number of batches of a whole epoch."""
        assert self._combined_loader is not None
        limits = self._combined_loader.limits
        return int(cast(list[float], limits)[0])

    def _stretch(self) -> Stretch:
        trainer = self.trainer
        data = vars(trainer)["datamodule"]  # which Lightning does not declare
        tokens: int | None = data.tokens_per_batch
        size: int = data.batch_size if tokens is None else tokens
        accumulation = trainer.accumulate_grad_batches
        return Stretch(size, tokens is not None, accumulation, trainer.world_size, 0, self._whole)

    # ---- going on ----------------------------------------------------------------------

    def _go_on(self) -> None:
        now, identity, order = self._stretch(), self._order.identity, self._order
        saved = self.saved or self._of_counters(now, identity)
        if isinstance(order, StreamSampler):
            goes_on = stream_continuation(saved, now, identity)
        else:
            goes_on = continuation(saved, now, identity, order.num_steps_left)
        if saved.stopped and any(isinstance(c, EarlyStopping) for c in _callbacks(self.trainer)):
            self.trainer.should_stop = True
        self._set_counters(goes_on, saved)
        described = go_on_with_schedule(self.trainer, *self._steps(goes_on, now))
        if goes_on.within and saved.means:  # a Learner logs whole steps alone, also of half a step
            restore_epoch_means(self.epoch_loop._results, saved.means, self.trainer)
        self.trainer._logger_connector._callback_metrics.update(
            {name: torch.tensor(value) for name, value in saved.metrics.items()}
        )
        if not goes_on.same and self.trainer.is_global_zero:
            differences = ", ".join(changes(saved, now, identity))
            _log.warning("the run goes on with %s: %s%s", differences, goes_on, described)

    def _of_counters(self, now: Stretch, identity: tuple[int, ...]) -> Standing:
        batches = self.epoch_loop.batch_progress
        total, current = _of(batches.total), _of(batches.current).processed
        epochs = _of(self.epoch_progress.current).processed
        validated = total.completed == total.processed
        return of_counters(total.processed, current, epochs, validated, now, identity)

    def _set_counters(self, goes_on: Continuation, saved: Standing) -> None:
        """Sets Lightning's counters as they are between two batches, or two epochs."""
        epoch_loop, within = self.epoch_loop, goes_on.within
        self.start = goes_on.start
        self.lead = goes_on.batches - goes_on.start.step
        self.max_batches = goes_on.length
        assert self._data_fetcher is not None
        self._data_fetcher.length = goes_on.length
        epoch = goes_on.start.epoch
        for tracker in (self.epoch_progress.total, self.epoch_progress.current):
            _set(tracker, begun=epoch + within, done=epoch)
        progress = epoch_loop.batch_progress
        total = _of(progress.total).processed - goes_on.half
        _set(progress.total, begun=total, done=total)
        batches = goes_on.batches if within else 0
        _set(progress.current, begun=batches, done=batches)
        complete = within and goes_on.batches >= goes_on.length
        progress.is_last_batch = complete
        self.restarting = within
        at_limit = self.trainer.should_stop or 0 <= self.max_steps <= epoch_loop.global_step
        self.pending = within and not saved.ended and (complete or at_limit)
        epoch_loop.ends_only = self.pending
        epoch_loop.validated_after = total if saved.validated and not goes_on.half else -1
        epoch_loop.missing = self._whole - goes_on.length
        epoch_loop._batches_that_stepped = epoch_loop.global_step
        self._last_train_dl_reload_epoch = epoch

    def _steps(self, goes_on: Continuation, now: Stretch) -> tuple[int, int]:
        """Returns the optimizer steps that are done, and those of the whole run.

        They are those of a run that had been as it is now from its beginning; 0 for a run
        without an end.
        """
        per_epoch = -(-now.of // now.accumulation)
        done = goes_on.start.epoch * per_epoch + -(-goes_on.batches // now.accumulation)
        global_step = self.epoch_loop.global_step
        epochs = -1 if self.max_epochs is None else self.max_epochs
        by_epochs = epochs * per_epoch - done if epochs >= 0 else math.inf
        by_steps = self.max_steps - global_step if self.max_steps >= 0 else math.inf
        if min(by_epochs, by_steps) == math.inf:
            return global_step, 0
        if by_steps <= by_epochs:
            return global_step, self.max_steps
        return done, done + max(int(by_epochs), 0)


def _of(tracker: object) -> _ProcessedTracker:
    """Returns the counters of Lightning, with their type."""
    return cast(_ProcessedTracker, tracker)


def _set(tracker: object, begun: int, done: int) -> None:
    counters = _of(tracker)
    counters.ready = counters.started = begun
    counters.processed = counters.completed = done


def _callbacks(trainer: Trainer) -> list[object]:
    return cast("list[object]", vars(trainer)["callbacks"])


def use_exact_loops(trainer: Trainer) -> None:
    """Makes the loops of a trainer exact; they keep their state."""
    # Lightning offers no way to give it other loops, and its parts hold on to these objects
    if type(trainer.fit_loop) is _FitLoop:
        trainer.fit_loop.__class__ = ExactFitLoop
        trainer.fit_loop.epoch_loop.__class__ = ExactEpochLoop
        trainer.fit_loop.epoch_loop.val_loop.__class__ = ExactValidationLoop
