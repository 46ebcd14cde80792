"""The settings that a recipe takes over from a trained model."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from unitf.checkpoints.members import is_ensemble, members_of
from unitf.checkpoints.read import as_class_paths, find_checkpoint
from unitf.cli.recipe import configured
from unitf.loading import read_source


class Inherited:
    """The settings of the model that `model.pretrained` or `model.core_from` names.

    A run that continues (`--ckpt_path`) has them in its checkpoint; its source may be gone.

    Args:
        argv: the words of the command line.
    """

    def __init__(self, argv: list[str]) -> None:
        # the source of core, tokenizers and tasks; None: at most the core is taken over
        self.pretrained: object = configured(argv, "model.pretrained")
        source = self.pretrained or configured(argv, "model.core_from")
        checkpoint = configured(argv, "ckpt_path")
        self.goes_on: bool = checkpoint is not None
        self.configuration: Mapping[str, object] = {}
        if source is not None:
            location = source if checkpoint is None else _one(cast(str, checkpoint))
            self.configuration = read_source(str(location))["configuration"]

    def defaults(self) -> dict[str, object]:
        """Returns the parser's defaults: each setting of the core, and the tokenizers."""
        if not self.configuration:
            return {}
        core = cast(Mapping[str, object], self.configuration["core"])
        defaults = {f"model.core.{name}": value for name, value in core.items()}
        if self.pretrained is not None:
            defaults["model.tokenizers"] = as_class_paths(self.configuration["tokenizers"])
        return defaults

    def tasks(self) -> dict[str, object]:
        """Returns the parser's default tasks, for a recipe that gives none."""
        if self.pretrained is None or not self.configuration:
            return {}
        return {"model.tasks": as_class_paths(self.configuration["tasks"])}


def _one(checkpoint: str) -> Path:
    """Returns the file of a checkpoint; of an ensemble that of the first member."""
    return find_checkpoint(members_of(checkpoint)[0] if is_ensemble(checkpoint) else checkpoint)
