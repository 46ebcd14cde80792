"""Checkpoint: `checkpoints/best.ckpt` and `last.ckpt` of a run, never half written."""

import copy
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, cast

from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer, callbacks
from lightning.pytorch.utilities.types import STEP_OUTPUT

from unitf.checkpoints.atomic import remove_parts, replacing
from unitf.checkpoints.checksum import check_file, save_checkpoint
from unitf.errors import UserError
from unitf.training.callbacks.csv_logger import log_step
from unitf.training.exact_loops import ExactFitLoop
from unitf.training.results import SplitResults, measured_results, tasks_of

_MORE_IS_BETTER = {"accuracy", "f1", "auroc", "r2", "pearson", "precision", "recall"}


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint, with a checksum, into a file beside it, syncs and renames it.

    Lightning writes through TMPDIR, and copies the file if that is another filesystem. If the
    process is killed or the disk is full, the old file is then destroyed.
    """

    def save_checkpoint(
        self,
        checkpoint: dict[str, object],
        path: str | os.PathLike[str],
        storage_options: object = None,
    ) -> None:
        """Writes a checkpoint; `storage_options` is ignored."""
        save_checkpoint(checkpoint, Path(path))

    def load_checkpoint(
        self,
        path: str | os.PathLike[str],
        map_location: Callable[..., object] | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, object]:
        """Reads a checkpoint whose checksum is right."""
        check_file(Path(path))
        return super().load_checkpoint(path, map_location or "cpu", weights_only)  # pyright: ignore[reportArgumentType]


class Checkpoint(callbacks.Checkpoint):
    """Keeps the best and the last state of a run.

    `last.ckpt` is written after every validation, at the end of every epoch, and in between every
    `every_minutes`. `best.ckpt` is written when `monitor` has its best value; if nothing is
    monitored, it is the last state.

    Args:
        folder: the run's folder, by default the trainer's `default_root_dir`; the files are in its
            subfolder `checkpoints`.
        monitor: the name of a logged metric; by default the metric of the only task, or the
            validation loss if there are several tasks.
        mode: whether the lowest or the highest value is best; by default the name of the metric
            decides.
        every_minutes: the minutes between two writings of `last.ckpt` within an epoch.
    """

    def __init__(
        self,
        folder: str | None = None,
        monitor: str | None = None,
        mode: Literal["min", "max"] | None = None,
        every_minutes: float = 10.0,
    ) -> None:
        super().__init__()
        self.run: str | None = folder
        self.monitor: str | None = monitor
        self.mode: Literal["min", "max"] | None = mode
        self.every_minutes: float = every_minutes
        self.best_model_score: float | None = None
        self.best_epoch: int | None = None
        self.best_step: int | None = None
        self.best_results: SplitResults = {}  # of the validation split, when it was best
        self._validated = False
        self._saved_step = -1
        self._is_due = False  # whether `last.ckpt` waits for the end of a step
        self._saved_at = 0.0

    @property
    def folder(self) -> Path:
        """The folder of the checkpoints, within the folder of the run."""
        return Path(self.run or ".") / "checkpoints"

    @property
    def best_path(self) -> Path:
        """The file of the best checkpoint so far."""
        return self.folder / "best.ckpt"

    @property
    def last_path(self) -> Path:
        """The file of the last checkpoint, from which a run resumes."""
        return self.folder / "last.ckpt"

    @property
    def best_model_path(self) -> str:
        """The path that Lightning uses for `ckpt_path="best"`; "" if there is no such file."""
        return str(self.best_path) if self.best_path.exists() else ""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Finds the folder and the metric of a fit, and deletes half-written files."""
        if stage != "fit":
            return
        self.run = self.run or trainer.default_root_dir
        self.monitor, self.mode = monitored([self], pl_module)
        trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        if trainer.is_global_zero:
            remove_parts(self.folder)
        self._saved_at = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Saves `last.ckpt` if the last one is older than `every_minutes`, or if it is due."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return  # half a step cannot be resumed
        if not self._is_due:
            if trainer.world_size > 1 and trainer.global_step % 16:
                return  # the processes must agree, which costs time
            late = time.monotonic() - self._saved_at >= self.every_minutes * 60
            if not trainer.strategy.reduce_boolean_decision(late, all=False):
                return
        log_step(trainer)
        self._save(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves after a validation within an epoch.

        Within a step of several batches only `best.ckpt` is written. A run that goes on from there
        would train these batches again, and count them and the validation twice; so `last.ckpt`
        waits for the end of the step.
        """
        # at the end of an epoch the save waits for that end, after which a resumed run goes on
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._validated = True
        progress = trainer.fit_loop.epoch_loop.batch_progress
        if not progress.is_last_batch:
            half = progress.current.ready % trainer.accumulate_grad_batches > 0
            self._save_and_compare(trainer, pl_module, trainer.current_epoch, half)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves at the end of an epoch, unless `on_epoch_complete` follows."""
        if not isinstance(trainer.fit_loop, ExactFitLoop):
            self._save_and_compare(trainer, pl_module, trainer.current_epoch)

    def on_epoch_complete(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves after all that belongs to an epoch: its means, and a schedule's step."""
        self._save_and_compare(trainer, pl_module, trainer.current_epoch - 1)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves what was not saved yet; without a monitored metric the last state is the best."""
        if self._saved_step != trainer.global_step:
            self._save(trainer)
        self._keep_last_as_best(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Does the same for a run that was at its end already when it resumed."""
        if not self.best_path.exists():
            self._keep_last_as_best(trainer)

    def _keep_last_as_best(self, trainer: Trainer) -> None:
        nothing_monitored = self.best_model_score is None and self.last_path.exists()
        if trainer.is_global_zero and nothing_monitored:
            _duplicate(self.last_path, self.best_path)

    def _save_and_compare(
        self, trainer: Trainer, pl_module: LightningModule, epoch: int, half: bool = False
    ) -> None:
        assert self.monitor is not None
        if self.monitor.startswith("validation/") and not self._validated:
            self._save(trainer)  # the value that Lightning still has is of earlier weights
            return
        value = trainer.callback_metrics.get(self.monitor)
        if value is None and self._validated:
            known = ", ".join(sorted(map(str, trainer.callback_metrics))) or "none"
            raise UserError(f"checkpoint: nothing logs {self.monitor!r}; there are: {known}")
        better = value is not None and self._is_better(float(value))
        if trainer.strategy.reduce_boolean_decision(better):
            assert value is not None
            self.best_model_score = float(value)
            self.best_epoch, self.best_step = epoch, trainer.global_step
            results = measured_results(pl_module)
            self.best_results = copy.deepcopy(results.get("validation", {}))
            self._save(trainer, better=True, half=half)
        else:
            self._save(trainer, half=half)
        self._validated = False

    def _is_better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        best = self.best_model_score
        # the later of two equal ones: an accuracy of 1 on a small split says little
        return best is None or (value >= best if self.mode == "max" else value <= best)

    def _save(self, trainer: Trainer, better: bool = False, half: bool = False) -> None:
        self._is_due = half
        # best.ckpt first: a run that is killed between the two repeats its last part
        # weights_only=False saves the whole state; Lightning warns if it is not given
        if better:
            trainer.save_checkpoint(self.best_path, weights_only=False)
        if half:
            return
        self._saved_step = trainer.global_step
        if not better:
            trainer.save_checkpoint(self.last_path, weights_only=False)
        elif trainer.is_global_zero:
            _duplicate(self.best_path, self.last_path)
        self._saved_at = time.monotonic()

    @property
    def state_key(self) -> str:
        """The key of this callback's state in a checkpoint; it stays if the class is renamed."""
        return "Checkpoint" if type(self) is Checkpoint else super().state_key

    def state_dict(self) -> dict[str, object]:
        """Returns the metric and its best value, with the epoch, step and results of it."""
        names = ("monitor", "mode", "best_model_score", "best_epoch", "best_step", "best_results")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Restores the best value, unless it is of another metric."""
        if state_dict["monitor"] == self.monitor:
            for name, value in state_dict.items():
                setattr(self, name, value)


def monitored(
    callbacks: Iterable[callbacks.Checkpoint], pl_module: LightningModule
) -> tuple[str, Literal["min", "max"]]:
    """Returns the metric by which a run keeps its best state, and whether low ("min") is best.

    Args:
        callbacks: those of the trainer that write checkpoints.
        pl_module: the model that is trained.
    """
    own = [callback for callback in callbacks if isinstance(callback, Checkpoint)]
    monitor, mode = (own[0].monitor, own[0].mode) if own else (None, None)
    if monitor is None:
        monitor, usual = _metric_of(pl_module)
        return monitor, mode or usual
    words = monitor.split("/")[-1].split("_")  # such as entity_f1_PER
    return monitor, mode or ("max" if _MORE_IS_BETTER.intersection(words) else "min")


def _metric_of(pl_module: LightningModule) -> tuple[str, Literal["min", "max"]]:
    """Returns the metric that says how good the model is, and whether lower is better ("min")."""
    tasks = tasks_of(pl_module)
    if len(tasks) != 1:
        return "validation/loss", "min"
    ((name, task),) = tasks.items()
    return f"validation/{name}/{task.monitor}", cast(Literal["min", "max"], task.mode)


def _duplicate(source: Path, target: Path) -> None:
    """Copies a checkpoint; with a link, one damaged block of the disk would damage both."""
    with replacing(target) as part:
        shutil.copyfile(source, part)
