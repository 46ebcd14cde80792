"""InitialWeights: a trained model that gives another one its configuration and first weights."""

import logging
from collections.abc import Mapping
from typing import cast

from torch import nn

from unitf.checkpoints.read import remake, tokenizer_factory
from unitf.component import Component
from unitf.core import TransformerConfig
from unitf.errors import UserError
from unitf.loading import read_source
from unitf.model import Model, TokenizerFactory
from unitf.registry.configurable import differences
from unitf.tasks.task import Task
from unitf.training.finetuning.transfer import TrainedModel, fitted_of, is_same_kind, transfer

_log = logging.getLogger(__name__)
_ALL = ("core", "tokenizers", "tasks")


class InitialWeights:
    """A trained model, or its core alone, from which another model starts.

    Sources are what `unitf.from_pretrained` takes. With no source, nothing is taken over.

    Args:
        pretrained: a source of everything.
        core_from: a source of the core alone.
    """

    def __init__(self, pretrained: str | None = None, core_from: str | None = None) -> None:
        if pretrained is not None and core_from is not None:
            raise UserError(
                f"model.pretrained {pretrained} and model.core_from {core_from}: expected one of "
                "them"
            )
        self.name: str | None = pretrained or core_from
        self.key: str = "model.pretrained" if pretrained is not None else "model.core_from"
        self.parts: tuple[str, ...] = _ALL if pretrained is not None else ("core",)
        self.described: str | None = None  # one line on what was taken over
        self._source: TrainedModel | None = None
        self._is_pending = self.name is not None  # whether weights are still to be copied

    @property
    def source(self) -> TrainedModel:
        """The configuration and the weights of the trained model."""
        if self._source is None:
            assert self.name is not None
            self._source = cast(TrainedModel, read_source(self.name))
        return self._source

    def core(self) -> TransformerConfig:
        """Returns the configuration of the trained core.

        Raises:
            UserError: there is no source.
        """
        if self.name is None:
            raise UserError(
                "model.core: found none, expected a configuration, or model.pretrained or "
                "model.core_from"
            )
        return TransformerConfig(**self.source["configuration"]["core"])

    def tasks(self, configured: Mapping[str, Task]) -> dict[str, Task]:
        """Returns the configured tasks, or else the fitted tasks of the trained model."""
        if configured or "tasks" not in self.parts or self.name is None:
            return dict(configured)
        settings = self.source["configuration"]["tasks"]
        tasks: dict[str, Task] = {name: remake(task, "tasks") for name, task in settings.items()}
        self.load_fitted_tasks(tasks)
        return tasks

    def load_fitted_tasks(self, tasks: Mapping[str, Task] | nn.ModuleDict) -> None:
        """Copies what tasks of the same name and class were fitted to."""
        self._load_fitted("tasks", cast(dict[str, Component], dict(tasks.items())))

    def tokenizers(
        self, configured: Mapping[str, TokenizerFactory], tasks: Mapping[str, Task]
    ) -> dict[str, TokenizerFactory]:
        """Returns the tokenizers that the tasks need: configured ones, or else trained ones."""
        if "tokenizers" not in self.parts or self.name is None:
            return dict(configured)
        needed = {name for task in tasks.values() for name in task.inputs.values()}
        needed |= frozenset().union(*(task.unembeds for task in tasks.values()))
        factories = {name: make for name, make in configured.items() if name in needed}
        if missing := needed - factories.keys():
            settings = self.source["configuration"]["tokenizers"]
            factories |= {
                name: tokenizer_factory(settings[name]) for name in settings if name in missing
            }
        return factories

    def load_fitted(self, model: Model) -> None:
        """Copies what tokenizers of the same name and class were fitted to.

        With a vocabulary that was fitted again, the old embedding table would be meaningless.
        """
        if self._is_pending and "tokenizers" in self.parts:
            self._load_fitted("tokenizers", dict(model.tokenizers.items()))

    def _load_fitted(self, kind: str, components: Mapping[str, Component]) -> None:
        for name, component in components.items():
            if not component.is_fitted and is_same_kind(
                component, self.source["configuration"][kind].get(name)
            ):
                component.load_fitted(fitted_of(self.source, kind, name))

    def fill(self, model: Model) -> None:
        """Copies the weights into a model, once, and logs one line on what was copied.

        Raises:
            UserError: no weight of the core has the same shape.
        """
        if not self._is_pending:
            return
        result = transfer(model, self.source, self.parts)
        if not any(name.startswith("core.") for name in result.taken):
            lines = differences(self.source["configuration"]["core"], model.configuration()["core"])
            raise UserError(
                f"{self.key} {self.name}: no weight of its core has a shape of this one "
                f"({'; '.join(lines)})"
            )
        self.described = f"{self.key.removeprefix('model.')} {self.name}: {result.described()}"
        _log.info(self.described)
        self.drop()

    def drop(self) -> None:
        """Drops the source: its weights are copied, or a checkpoint gives all weights."""
        self._source, self._is_pending = None, False
