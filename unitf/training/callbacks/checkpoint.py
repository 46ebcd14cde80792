"""Checkpoint: `checkpoints/best.ckpt` and `last.ckpt` of a run, whole at every instant."""

import copy
import math
import os
import shutil
import time
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer, callbacks

from unitf.checkpoints.atomic import remove_parts, replacing
from unitf.errors import UserError

_MORE_IS_BETTER = {"accuracy", "f1", "auroc", "r2", "pearson"}


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place, syncs and renames it.

    Lightning's goes through TMPDIR, and through a copy where that is another filesystem: a kill
    or a full disk then destroys the old file.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        with replacing(Path(path)) as part:
            torch.save(checkpoint, part)


class Checkpoint(callbacks.Checkpoint):
    """Keeps the best and the last state of a run.

    `last.ckpt` is written after every validation, at the end of every epoch, and every
    `every_minutes` between; `best.ckpt` where `monitor` was best (the last, if there is nothing
    to monitor).

    Args:
        folder: the run's, by default the trainer's `default_root_dir`; the files lie in its
            `checkpoints`.
        monitor: a logged figure; by default that of the task, or the validation loss if there are
            several tasks.
        mode: whether less or more of it is better; by default as the figure's name says.
        every_minutes: the time between two writings of `last.ckpt`.
    """

    def __init__(
        self,
        folder: str | None = None,
        monitor: str | None = None,
        mode: Literal["min", "max"] | None = None,
        every_minutes: float = 10.0,
    ) -> None:
        super().__init__()
        self.run = folder
        self.monitor = monitor
        self.mode = mode
        self.every_minutes = every_minutes
        self.best_model_score: float | None = None
        self.best_epoch: int | None = None
        self.best_step: int | None = None
        self.best_results: dict[str, Any] = {}  # those of validation, when it was best
        self._validated = False
        self._saved_step = -1
        self._saved_at = 0.0

    @property
    def folder(self) -> Path:
        """The folder of the checkpoints, within the run's."""
        return Path(self.run or ".") / "checkpoints"

    @property
    def best_path(self) -> Path:
        """The file of the best checkpoint so far."""
        return self.folder / "best.ckpt"

    @property
    def last_path(self) -> Path:
        """The file of the last checkpoint, from which a run goes on."""
        return self.folder / "last.ckpt"

    @property
    def best_model_path(self) -> str:
        """What Lightning's `ckpt_path="best"` means."""
        return str(self.best_path) if self.best_path.exists() else ""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        self.run = self.run or trainer.default_root_dir
        if self.monitor is None:
            self.monitor, self.mode = _metric_of(pl_module)
        if self.mode is None:
            self.mode = "max" if self.monitor.split("/")[-1] in _MORE_IS_BETTER else "min"
        trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        if trainer.is_global_zero:
            remove_parts(self.folder)
        self._saved_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return  # half a step cannot be resumed
        if trainer.world_size > 1 and trainer.global_step % 16:
            return  # the processes must agree, which costs time
        due = time.monotonic() - self._saved_at >= self.every_minutes * 60
        if trainer.strategy.reduce_boolean_decision(due, all=False):
            self._save(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # at the end of an epoch the save waits for on_train_epoch_end, from where a resumed run
        # starts the next epoch
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._validated = True
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._judge(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._judge(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._saved_step != trainer.global_step:
            self._save(trainer)
        nothing_monitored = self.best_model_score is None and self.last_path.exists()
        if trainer.is_global_zero and nothing_monitored:
            _duplicate(self.last_path, self.best_path)

    def _judge(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert self.monitor is not None
        if self.monitor.startswith("validation/") and not self._validated:
            self._save(trainer)  # the figure that Lightning still has is of earlier weights
            return
        value = trainer.callback_metrics.get(self.monitor)
        if value is None and self._validated:
            known = ", ".join(sorted(map(str, trainer.callback_metrics))) or "none"
            raise UserError(f"checkpoint: nothing logs {self.monitor!r}; there are: {known}")
        better = value is not None and self._is_better(float(value))
        if trainer.strategy.reduce_boolean_decision(better):
            assert value is not None
            self.best_model_score = float(value)
            self.best_epoch, self.best_step = trainer.current_epoch, trainer.global_step
            results = getattr(pl_module, "results", {})
            self.best_results = copy.deepcopy(results.get("validation", {}))
            self._save(trainer, better=True)
        else:
            self._save(trainer)
        self._validated = False

    def _is_better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        best = self.best_model_score
        # of equally good ones the later: an accuracy of 1 on a small split says little
        return best is None or (value >= best if self.mode == "max" else value <= best)

    def _save(self, trainer: Trainer, better: bool = False) -> None:
        self._saved_step = trainer.global_step
        # the best one first: a run that is killed between the two does its last part again
        # Lightning has something to say about weights_only, which here means loading
        trainer.save_checkpoint(self.best_path if better else self.last_path, weights_only=False)
        if better and trainer.is_global_zero:
            _duplicate(self.best_path, self.last_path)
        self._saved_at = time.monotonic()

    @property
    def state_key(self) -> str:
        """The name of its state in a checkpoint, which stays if the class is renamed."""
        return "Checkpoint" if type(self) is Checkpoint else super().state_key

    def state_dict(self) -> dict[str, Any]:
        names = ("monitor", "mode", "best_model_score", "best_epoch", "best_step", "best_results")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if state_dict["monitor"] == self.monitor:  # else its best says nothing about ours
            for name, value in state_dict.items():
                setattr(self, name, value)


def _metric_of(pl_module: LightningModule) -> tuple[str, Literal["min", "max"]]:
    """The figure that says how good the model is, and whether less or more of it is better."""
    tasks: Any = getattr(pl_module, "tasks", {})
    if len(tasks) != 1:
        return "validation/loss", "min"
    ((name, task),) = tasks.items()
    return f"validation/{name}/{task.monitor}", task.mode


def _duplicate(source: Path, target: Path) -> None:
    """A second name for the same bytes, which are never changed in place; else a copy."""
    with replacing(target) as part:
        try:
            os.link(source, part)
        except OSError:  # a filesystem without links
            shutil.copyfile(source, part)
