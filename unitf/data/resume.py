"""Random numbers of a training step that do not depend on how the run came there."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from unitf.data.seeding import mix, seed_host


class SeededSteps(Callback):
    """Seeds every step from the seed, the epoch, the step and the process's number.

    So a run that was cut off goes on with the dropout that it would have had, and there is no
    state of generators, different in each process and on each device, for a checkpoint to hold.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        epoch = trainer.fit_loop.epoch_progress.current.processed
        seed = mix(self.seed, epoch, batch_idx, trainer.global_rank)
        seed_host(seed)
        if torch.cuda.is_available():
            torch.cuda.manual_seed(seed)
