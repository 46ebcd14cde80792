"""Instead of training: a run that is prepared as `fit` prepares it, and then does another thing."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer

from unitf.batch import Batch
from unitf.errors import UserError

Result = TypeVar("Result")


class _Finished(Exception):  # noqa: N818 (it is none)
    """It has been done; there is nothing to train."""


class _Prepared(Callback):
    """Calls a function where training would begin, and ends the run."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.results: list[Any] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.train()
        pl_module.on_train_epoch_start()  # what is frozen goes to evaluation mode
        self.results.append(self.function())
        raise _Finished


def run_prepared(
    trainer: Trainer,
    learner: LightningModule,
    data: LightningDataModule,
    function: Callable[[], Result],
) -> Result:
    """What a function gives when all is fitted, built, on its device, and has its optimizer.

    Raises:
        UserError: the recipe trains for no step.
    """
    callback = _Prepared(function)
    trainer.callbacks.append(callback)  # type: ignore[attr-defined]
    try:
        trainer.fit(learner, datamodule=data)
    except _Finished:
        return callback.results[0]
    raise UserError("the recipe trains for no step: expected at least one batch and one epoch")


def training_batches(trainer: Trainer) -> Iterator[Batch]:
    """The recipe's batches on their device, as training has them; after an epoch it again."""
    loader: Any = trainer.train_dataloader
    while True:
        for batch in loader:
            converted = trainer.precision_plugin.convert_input(batch)
            yield trainer.strategy.batch_to_device(converted)
