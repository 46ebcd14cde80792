"""KeptRecipe: the recipe that was made for a run, in the run's folder."""

from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Callback, LightningModule, Trainer

from unitf.cli.yaml_values import PlainDumper, PlainLoader
from unitf.recognition.recipe_text import as_yaml
from unitf.training.callbacks import TimeBudget

NAME: str = "recipe.yaml"


class KeptRecipe(Callback):
    """Writes a recipe into the run's folder; in the end with the length of the run.

    Args:
        recipe: the text of the recipe.
    """

    def __init__(self, recipe: str) -> None:
        self.recipe: str = recipe

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the recipe as it was made."""
        self._write(trainer, self.recipe)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the recipe with the number of steps that came out, if a time had set it."""
        budgets = [c for c in vars(trainer)["callbacks"] if isinstance(c, TimeBudget)]
        if budgets and budgets[0].length is not None:
            self._write(trainer, with_length(self.recipe, budgets[0].length.as_keys()))

    @staticmethod
    def _write(trainer: Trainer, text: str) -> None:
        if trainer.is_global_zero:
            file = Path(trainer.default_root_dir) / NAME
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")


def kept_recipe(folder: Path) -> str | None:
    """Returns the recipe that was made for a run, from its folder; None: there is none."""
    file = folder / NAME
    return file.read_text(encoding="utf-8") if file.is_file() else None


def with_length(recipe: str, keys: dict[str, Any]) -> str:
    """Returns a recipe without a TimeBudget, but with these keys of the trainer."""
    settings = yaml.load(recipe, Loader=PlainLoader)
    trainer = settings["trainer"]
    callbacks = [c for c in trainer.pop("callbacks", []) if "TimeBudget" not in str(c)]
    trainer.update(keys)
    settings["trainer"] = {**trainer, **({"callbacks": callbacks} if callbacks else {})}
    comments = [line[2:] for line in recipe.splitlines() if line.startswith("# ")]
    return as_yaml(settings, tuple(comments), PlainDumper)
