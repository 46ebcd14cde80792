"""Prepares a recipe as `fit` does, without training it, for `unitf inspect` and `unitf bench`."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from lightning.pytorch import Trainer

from unitf.cli.machine import prepare_machine, warn_of_emulation
from unitf.cli.preparing import prepare
from unitf.cli.training_cli import TrainingCLI
from unitf.errors import UserError
from unitf.training.callbacks.prepared import run_prepared

Result = TypeVar("Result")
_STEPS_ONLY = {  # turns off all that a run does beside its steps, and other processes
    "logger": False,
    "callbacks": None,
    "strategy": "auto",
    "devices": 1,
    "num_nodes": 1,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "limit_val_batches": 0,
    "num_sanity_val_steps": 0,
}


class RecipeCLI(TrainingCLI):
    """Takes the arguments of `unitf fit`; its trainer has neither loggers nor callbacks."""

    def __init__(self, verb: str, argv: list[str]) -> None:
        if not any(word.partition("=")[0] in ("--config", "-c") for word in argv):
            raise UserError(f"{verb}: expected --config with a recipe")
        super().__init__(verb, prepare(argv))

    def before_instantiate_classes(self) -> None:
        """Changes the settings of the trainer."""
        torch.set_flush_denormal(True)
        warn_of_emulation(self.config.trainer)
        for name, value in _STEPS_ONLY.items():
            self.config.trainer[name] = value

    def instantiate_trainer(self, **kwargs: object) -> Trainer:
        """Makes the trainer, without the usual callbacks."""
        # what is drawn for a test must be what the run drew, by the classes of its targets
        self.datamodule.set_targets(dict(self.model.tasks.items()))
        return self._instantiate_trainer({**self.config_init.trainer, **kwargs}, [])

    def run_prepared(self, function: Callable[[], Result]) -> Result:
        """Calls a function when all is ready for training, and returns its result."""
        prepare_machine(self.trainer, self.datamodule.num_workers)
        return run_prepared(self.trainer, self.model, self.datamodule, function)

    @property
    def recipe(self) -> str:
        """The name of the recipe: that of its file."""
        return Path(str(self.config.config[-1])).stem
