"""What the tests of callbacks share: a small run that can be cut off."""

from lightning.pytorch.callbacks import Callback
from toys import Swings

from unitf.training import DataModule

STEPS = 6  # in an epoch


class CutError(Exception):
    """The end of a run that was cut off."""


class Cut(Callback):
    """Ends a run at the beginning of an epoch, as a crash would."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            raise CutError


def small_data():
    return DataModule({"toy": Swings(8 * STEPS)}, batch_size=8, num_workers=0)
