"""RandomState: the random numbers of a training step depend on its number, not on the past."""

from typing import cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loops.progress import _ProcessedTracker

from unitf.data.seeding import mix, seed_host


def batches_done(trainer: Trainer) -> int:
    """Returns how many batches this process has trained on since the run began."""
    return trainer.fit_loop.epoch_loop.batch_progress.total.completed


class RandomState(Callback):
    """Seeds every training step from the data's seed, the number of the step and the process.

    A resumed run therefore draws the same dropout as a run that was never interrupted, and a
    checkpoint need not hold the states of the random generators of every process and device.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Repairs the batch count of a checkpoint that was saved in the middle of a batch."""
        # `on_exception` can save there. Lightning then resets the batch count of the epoch, but
        # not that of the run, and fails at the next resume because the two differ.
        total = cast(_ProcessedTracker, trainer.fit_loop.epoch_loop.batch_progress.total)
        if total.processed < total.ready:
            total.reset_on_restart()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Seeds Python, NumPy and torch for this step."""
        seed = getattr(getattr(trainer, "datamodule", None), "seed", 0)
        key = mix(seed, batches_done(trainer), trainer.global_rank)
        seed_host(key)
        if pl_module.device.type == "cuda":  # torch.cuda.is_available() would take 0.3 ms
            torch.cuda.manual_seed(key)
