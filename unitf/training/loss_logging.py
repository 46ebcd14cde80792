"""LossLog: logs the loss of each optimizer step, and the terms of the core's blocks."""

from lightning.pytorch import LightningModule
from torch import Tensor

from unitf.batch import Batch
from unitf.model import TrainingLoss


class LossLog:
    """Adds the parts that the micro-batches of a step have in its losses, and logs the sums.

    The loss of the tasks is `train/loss`. If the core's blocks returned terms, the total loss and
    each term without its coefficient are logged as well.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}  # on the device: no step waits for them

    def update(self, module: LightningModule, batch: Batch, loss: TrainingLoss) -> None:
        """Adds the part of a batch; with the last batch of a step, logs the losses of the step.

        Args:
            module: the module that logs; it must be in its training step.
            batch: the batch.
            loss: its part of the loss of the step.
        """
        parts = {"loss": loss.tasks, **loss.terms}
        if loss.terms:
            parts["total_loss"] = loss.total
        for name, value in parts.items():
            part = value.detach()
            self._sums[name] = self._sums[name] + part if name in self._sums else part
        if batch.ends_step:
            self._log(module, max(_samples_of_step(batch), 1))

    def _log(self, module: LightningModule, num_samples: int) -> None:
        for name, value in self._sums.items():
            module.log(
                f"train/{name}",
                value,
                on_step=True,
                on_epoch=True,
                prog_bar=name == "loss",
                batch_size=num_samples,
                sync_dist=True,
            )
        self.reset()

    def reset(self) -> None:
        """Forgets the parts of a step that was not completed."""
        self._sums.clear()


def _samples_of_step(batch: Batch) -> int:
    """Returns the number of samples of the whole step, which weights it in the mean of an epoch."""
    return sum(
        part.num_samples if part.step is None else part.step.total.samples
        for part in batch.task_batches.values()
    )
