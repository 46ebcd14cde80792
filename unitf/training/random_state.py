"""Where a run stands, and its random numbers there, whatever way it came there."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from unitf.data.seeding import mix, seed_host


def batches_done(trainer: Trainer) -> int:
    """How many batches this process has trained on since the run began.

    Lightning's number of the epoch would not do: with `max_steps`, it is one too high after a
    resume from the end of an epoch (2.6.6).
    """
    return trainer.fit_loop.epoch_loop.batch_progress.total.completed


class RandomState(Callback):
    """Seeds every training step by the data's seed, the number of the step and the process.

    So a run that was cut off goes on with the dropout that it would have had, and there are no
    states of generators, other ones in each process and on each device, that a checkpoint would
    have to hold.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Saved in the middle of a batch (by on_exception): Lightning takes back the epoch's count
        # of batches, but not the run's, and then trips over the difference at the next resume.
        total: Any = trainer.fit_loop.epoch_loop.batch_progress.total
        if total.processed < total.ready:
            total.reset_on_restart()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        seed = getattr(getattr(trainer, "datamodule", None), "seed", 0)
        key = mix(seed, batches_done(trainer), trainer.global_rank)
        seed_host(key)
        if pl_module.device.type == "cuda":  # to ask whether there is one takes 0.3 ms
            torch.cuda.manual_seed(key)
