"""What a recipe need not say, because a trained model says it."""

from typing import Any

from unitf.checkpoints.read import as_class_paths, find_checkpoint
from unitf.cli.recipe import configured
from unitf.loading import read_source


class Inherited:
    """The settings of the model that `model.pretrained` or `model.core_from` names.

    A run that goes on (`--ckpt_path`) has them in its checkpoint, wherever the source is by now.
    """

    def __init__(self, argv: list[str]) -> None:
        self.whole = configured(argv, "model.pretrained")
        source = self.whole or configured(argv, "model.core_from")
        checkpoint = configured(argv, "ckpt_path")
        self.goes_on = checkpoint is not None
        self.configuration: dict[str, Any] = {}
        if source is not None:
            found = str(find_checkpoint(checkpoint)) if self.goes_on else str(source)
            self.configuration = read_source(found)["configuration"]

    def defaults(self) -> dict[str, Any]:
        """For the parser: the core, each setting of which can still be given, and tokenizers."""
        if not self.configuration:
            return {}
        core = self.configuration["core"]
        defaults = {f"model.core.{name}": value for name, value in core.items()}
        if self.whole is not None:
            defaults["model.tokenizers"] = as_class_paths(self.configuration["tokenizers"])
        return defaults

    def tasks(self) -> dict[str, Any]:
        """For the parser, where none are given."""
        if self.whole is None or not self.configuration:
            return {}
        return {"model.tasks": as_class_paths(self.configuration["tasks"])}
