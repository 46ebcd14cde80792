"""Prepares a run as `fit` does, and then calls a function instead of training."""

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar, cast

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer

from unitf.batch import Batch
from unitf.errors import UserError

Result = TypeVar("Result")


class _Finished(Exception):  # noqa: N818 (not an error)
    """The function was called, so the run ends."""


class _Prepared(Callback, Generic[Result]):
    """Calls a function when training would begin, and ends the run."""

    def __init__(self, function: Callable[[], Result]) -> None:
        self.function = function
        self.results: list[Result] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.train()
        pl_module.on_train_epoch_start()  # sets frozen parts to evaluation mode
        self.results.append(self.function())
        raise _Finished


def run_prepared(
    trainer: Trainer,
    learner: LightningModule,
    data: LightningDataModule,
    function: Callable[[], Result],
) -> Result:
    """Calls a function when the run is ready to train, and returns its result.

    At that time everything is fitted, built and on its device, and the optimizer is made.

    Raises:
        UserError: the recipe trains for no steps.
    """
    callback = _Prepared(function)
    callbacks: list[Callback] = vars(trainer)["callbacks"]  # which Lightning does not declare
    callbacks.append(callback)
    try:
        trainer.fit(learner, datamodule=data)
    except _Finished:
        return callback.results[0]
    raise UserError("the recipe trains for no step: expected at least one batch and one epoch")


def training_batches(trainer: Trainer) -> Iterator[Batch]:
    """Yields the training batches on their device, as training gets them, in endless epochs."""
    loader = cast(Iterable[Batch], trainer.train_dataloader)
    while True:
        for batch in loader:
            converted = trainer.precision_plugin.convert_input(batch)
            yield trainer.strategy.batch_to_device(converted)
