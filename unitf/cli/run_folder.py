"""The folder of a run: all processes use the same one, and the configuration is in it."""

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback


class SharedFolder(Callback):
    """Gives every process the folder that the first process named.

    The time is the folder's name, and processes begin at different times, whoever starts them
    (Lightning, torchrun, a cluster). No process writes before it is connected to the others.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Takes the folder of the first process."""
        folder = trainer.strategy.broadcast(trainer.default_root_dir)
        trainer._default_root_dir = folder  # type: ignore[attr-defined]


class SaveConfig(SaveConfigCallback):
    """Writes `config.yaml` to the run's folder; Lightning's goes where the first logger writes."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Writes the configuration."""
        file = Path(trainer.default_root_dir) / self.config_filename
        file.parent.mkdir(parents=True, exist_ok=True)
        # a run that goes on has one already
        self.parser.save(
            self.config, str(file), skip_none=False, overwrite=True, multifile=self.multifile
        )
