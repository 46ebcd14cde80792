"""What `unitf inspect` and `unitf bench` share: a recipe, prepared as `fit` does, untrained."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from lightning.pytorch import Trainer

from unitf.cli.machine import prepare_machine, warn_of_emulation
from unitf.cli.training_cli import TrainingCLI, prepare
from unitf.errors import UserError
from unitf.training.callbacks.prepared import run_prepared

Result = TypeVar("Result")
_ALONE = {  # what a run does beside its steps, and in other processes
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
    """The arguments of `unitf fit`, and a trainer with neither loggers nor callbacks."""

    def __init__(self, verb: str, argv: list[str]) -> None:
        if not any(word.partition("=")[0] in ("--config", "-c") for word in argv):
            raise UserError(f"{verb}: expected --config with a recipe")
        super().__init__(verb, prepare(argv))

    def before_instantiate_classes(self) -> None:
        torch.set_flush_denormal(True)
        warn_of_emulation(self.config.trainer)
        for name, value in _ALONE.items():
            self.config.trainer[name] = value

    def instantiate_trainer(self, **kwargs: object) -> Trainer:
        return self._instantiate_trainer({**self.config_init.trainer, **kwargs}, [])

    def run_prepared(self, function: Callable[[], Result]) -> Result:
        """What a function gives, when all is ready to be trained."""
        prepare_machine(self.trainer, self.datamodule.num_workers)
        return run_prepared(self.trainer, self.model, self.datamodule, function)

    @property
    def recipe(self) -> str:
        """Its name."""
        return Path(str(self.config.config[-1])).stem
