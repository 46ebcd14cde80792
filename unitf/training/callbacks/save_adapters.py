"""Adapters: writes the adapters of a run's best checkpoint into a folder of their own."""

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from unitf.checkpoints.read import read_checkpoint
from unitf.core.lora import LoRA
from unitf.core.lora_weights import save_adapters


class Adapters(Callback):
    """Writes the folder `adapters` at the end of a run, in the format of peft.

    Args:
        folder: the run's folder; by default the trainer's `default_root_dir`.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.folder: str | None = folder

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the adapters, if the model has some."""
        lora = getattr(pl_module, "lora", None)
        if not trainer.is_global_zero or not isinstance(lora, LoRA):
            return
        folder = Path(self.folder or trainer.default_root_dir)
        save_adapters(read_checkpoint(folder)["state_dict"], lora, folder / "adapters")
