"""Logs the loss of a training step, and the auxiliary terms of the core's blocks."""

from lightning.pytorch import LightningModule

from unitf.model import TrainingLoss


def log_loss(module: LightningModule, loss: TrainingLoss, batch_size: int) -> None:
    """Logs the loss of the tasks as `train/loss`.

    If the core's blocks returned terms, the total loss and each term without its coefficient are
    logged as well.

    Args:
        module: the module that logs; it must be in its training step.
        loss: the loss of the step.
        batch_size: the number of samples, by which means over an epoch are weighted.
    """
    module.log(
        "train/loss",
        loss.tasks.detach(),
        on_step=True,
        on_epoch=True,
        prog_bar=True,
        batch_size=batch_size,
        sync_dist=True,
    )
    terms = dict(loss.terms)
    if terms:
        terms["total_loss"] = loss.total.detach()
    for name, value in terms.items():
        module.log(
            f"train/{name}",
            value,
            on_step=True,
            on_epoch=True,
            batch_size=batch_size,
            sync_dist=True,
        )
