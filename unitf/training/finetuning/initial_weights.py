"""Start: where a model's configuration and first weights come from."""

import logging
from collections.abc import Mapping
from typing import Any

from torch import nn

from unitf.checkpoints.read import remake, tokenizer_factory
from unitf.core import TransformerConfig
from unitf.errors import UserError
from unitf.loading import read_source
from unitf.registry.configurable import differences
from unitf.training.finetuning.transfer import fitted_of, is_same_kind, transfer

_log = logging.getLogger(__name__)
_ALL = ("core", "tokenizers", "tasks")


class InitialWeights:
    """A trained model that another one begins from: whole, or its core alone.

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
        self.name = pretrained or core_from
        self.key = "model.pretrained" if pretrained is not None else "model.core_from"
        self.parts = _ALL if pretrained is not None else ("core",)
        self.described: str | None = None
        self._source: dict[str, Any] | None = None
        self._awaited = self.name is not None

    @property
    def source(self) -> dict[str, Any]:
        """The `configuration` and `state_dict` of the trained model."""
        if self._source is None:
            assert self.name is not None
            self._source = read_source(self.name)
        return self._source

    def core(self) -> TransformerConfig:
        """The configuration of the trained core."""
        if self.name is None:
            raise UserError(
                "model.core: found none, expected a configuration, or model.pretrained or "
                "model.core_from"
            )
        return TransformerConfig(**self.source["configuration"]["core"])

    def tasks(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Those that are given, else those of the trained model with what they learned."""
        if given or "tasks" not in self.parts or self.name is None:
            return dict(given)
        settings = self.source["configuration"]["tasks"]
        tasks = {name: remake(task, "tasks") for name, task in settings.items()}
        self.load_fitted_tasks(tasks)
        return tasks

    def load_fitted_tasks(self, tasks: Any) -> None:
        """Gives tasks what those of the same name learned."""
        self._load_fitted("tasks", dict(tasks.items()))

    def tokenizers(self, given: Mapping[str, Any], tasks: Mapping[str, Any]) -> dict[str, Any]:
        """Those that the tasks need, as given, else of the trained model."""
        if "tokenizers" not in self.parts or self.name is None:
            return dict(given)
        needed = {name for task in tasks.values() for name in task.inputs.values()}
        needed |= frozenset().union(*(task.unembeds for task in tasks.values()))
        made = {name: factory for name, factory in given.items() if name in needed}
        if needed - made.keys():
            settings = self.source["configuration"]["tokenizers"]
            made |= {
                name: tokenizer_factory(settings[name])
                for name in settings
                if name in needed - made.keys()
            }
        return made

    def load_fitted(self, model: Any) -> None:
        """Gives the tokenizers of a model what those of the same name and class learned.

        A vocabulary that was learned anew would make nonsense of the table of the old one.
        """
        if self._awaited and "tokenizers" in self.parts:
            self._load_fitted("tokenizers", dict(model.tokenizers.items()))

    def _load_fitted(self, kind: str, components: Mapping[str, Any]) -> None:
        for name, component in components.items():
            if not component.is_fitted and is_same_kind(
                component, self.source["configuration"][kind].get(name)
            ):
                component.load_fitted(fitted_of(self.source, kind, name))

    def fill(self, model: nn.Module) -> None:
        """Takes over the weights, once, and says in one line what became of all.

        Raises:
            UserError: not one of the core's agrees.
        """
        if not self._awaited:
            return
        found = transfer(model, self.source, self.parts)
        if not any(name.startswith("core.") for name in found.taken):
            own: Any = model
            told = differences(self.source["configuration"]["core"], own.configuration()["core"])
            raise UserError(
                f"{self.key} {self.name}: no weight of its core has a shape of this one "
                f"({'; '.join(told)})"
            )
        self.described = f"{self.key.removeprefix('model.')} {self.name}: {found.described()}"
        _log.info(self.described)
        self.drop()

    def drop(self) -> None:
        """Forgets the source: the weights are there, or come from a checkpoint."""
        self._source, self._awaited = None, False
