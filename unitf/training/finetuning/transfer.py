"""Copies the weights of a trained model into another one, and describes what was copied."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypedDict, cast

import torch
from torch import Tensor

from unitf.checkpoints.read import remake
from unitf.component import Component
from unitf.core.lora import is_adapter, plain_name
from unitf.model import Model
from unitf.registry.class_names import has_been
from unitf.tasks.task import Task
from unitf.tokenizer.position_embedding import LearnedPositions
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.training.finetuning.resize_positions import resize

_EXTRA = "_extra_state"
_MAX_NAMES = 6  # of each kind in the description


class TrainedModel(TypedDict):
    """What a trained model gives: its configuration, as plain data, and its `state_dict`."""

    configuration: dict[str, Any]
    state_dict: dict[str, Any]


@dataclass
class Transfer:
    """The names of the parameters that were copied from one model to another, and of the rest.

    Args:
        taken: parameters that were copied.
        new: parameters that the trained model lacks.
        left: parameters of the trained model that were not used.
        resized: learned positions that were interpolated, with the old and the new size.
        used: parameters of the trained model that were used.
    """

    taken: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    resized: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def described(self) -> str:
        """Returns a description in one line."""
        names = [*self.taken, *self.new, *self.resized]
        parts = [f"took over {len(self.taken)} of {len(names)} weights"]
        if self.resized:
            parts.append(
                "interpolated " + ", ".join(f"{n} {how}" for n, how in self.resized.items())
            )
        if self.new:
            parts.append("new " + _brief(self.new, [*self.taken, *self.resized]))
        if self.left:
            parts.append("left over " + _brief(self.left, self.used))
        return "; ".join(parts)


def _brief(names: Iterable[str], others: Iterable[str]) -> str:
    """Returns some of the names; the names of a complete component become one."""
    whole = {_component(name) for name in names} - {_component(name) for name in others}
    short = [c if (c := _component(name)) in whole else name for name in names]
    short = list(dict.fromkeys(short))
    return ", ".join(short[:_MAX_NAMES]) + (
        f", … ({len(short)})" if len(short) > _MAX_NAMES else ""
    )


def _component(name: str) -> str:
    """Returns the component of a parameter: the core, a tokenizer or a task."""
    return name.split(".")[0] if name.startswith("core.") else ".".join(name.split(".")[:2])


def transfer(model: Model, source: TrainedModel, parts: Iterable[str]) -> Transfer:
    """Copies the weights of a source into a model, if their names and shapes agree.

    Args:
        model: the model that is filled.
        source: the trained model.
        parts: the parts of the model that are filled: core, tokenizers, tasks.
    """
    result, state = Transfer(), source["state_dict"]
    origins = _origins(model, source, tuple(parts))
    tables = {
        f"{name}.table": module.shape
        for name, module in model.named_modules()
        if isinstance(module, LearnedPositions)
    }
    for name, parameter in _tensors(model.state_dict()):
        if is_adapter(name):
            continue
        origin = origins.get(_component(name), _Origin()).name_of(plain_name(name))
        value = state.get(origin)
        if value is not None and value.shape == parameter.shape:
            result.taken.append(name)
        elif value is not None and name in tables:
            value, how = _resized(source, origin, tables[name], parameter.shape[1])
            if how:
                result.resized[name] = how
        else:
            value = None
        if value is None:
            result.new.append(name)
            continue
        result.used.add(origin)
        with torch.no_grad():
            parameter.copy_(value)
    result.left = [
        name
        for name, _ in _tensors(state)
        if name.split(".")[0] in parts and name not in result.used
    ]
    return result


def _tensors(state: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    return [(name, value) for name, value in state.items() if not name.endswith(_EXTRA)]


@dataclass(frozen=True)
class _Origin:
    """The component of the source from which a component of the model takes its parameters."""

    source_component: str | None = None
    component: str = ""
    without: tuple[str, ...] = ()  # the beginnings of names that are not taken

    def name_of(self, name: str) -> str:
        """Returns the name of a parameter in the source; "" if it is not taken."""
        rest = name.removeprefix(f"{self.component}.")
        if self.source_component is None or rest.startswith(self.without):
            return ""
        return f"{self.source_component}.{rest}"


def _origins(model: Model, source: TrainedModel, parts: tuple[str, ...]) -> dict[str, _Origin]:
    origins: dict[str, _Origin] = {}
    if "core" in parts:
        origins["core"] = _Origin("core", "core")
    if "tokenizers" in parts:
        for name, tokenizer in model.tokenizers.items():
            if is_same_kind(tokenizer, source["configuration"]["tokenizers"].get(name)):
                origins[f"tokenizers.{name}"] = _Origin(f"tokenizers.{name}", f"tokenizers.{name}")
    if "tasks" in parts:
        source_tasks = source["configuration"]["tasks"]
        for name, task in model.tasks.items():
            # if both models have one task, it is taken whatever its name
            alone = len(source_tasks) == len(model.tasks) == 1
            other = next(iter(source_tasks)) if alone else name
            if is_same_kind(task, source_tasks.get(other)):
                fitted = fitted_of(source, "tasks", other)
                same = _equal(_of_training(task, task.fitted), _of_training(task, fitted))
                without = () if same else task.fitted_parameters
                origins[f"tasks.{name}"] = _Origin(f"tasks.{other}", f"tasks.{name}", without)
    return origins


def _of_training(task: Task, fitted: Mapping[str, object]) -> dict[str, object]:
    """Returns what training samples taught a task, without what a validation did."""
    return {name: value for name, value in fitted.items() if name not in task.calibrated}


def is_same_kind(component: Component, settings: Mapping[str, object] | None) -> bool:
    """Returns whether a component is of the class that a configuration names."""
    return settings is not None and has_been(type(component), settings)


def fitted_of(source: TrainedModel, kind: str, name: str) -> dict[str, object]:
    """Returns what a tokenizer or task of the source was fitted to.

    Args:
        source: the trained model.
        kind: "tokenizers" or "tasks".
        name: the name of the tokenizer or task.
    """
    state = source["state_dict"].get(f"{kind}.{name}.{_EXTRA}")
    return {} if state is None else state["fitted"]


def _equal(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return isinstance(one, Tensor) and isinstance(other, Tensor) and torch.equal(one, other)
    return type(one) is type(other) and one == other


def _resized(
    source: TrainedModel, name: str, shape: tuple[int, ...], dim: int
) -> tuple[Tensor | None, str]:
    """Returns the learned positions of a source's tokenizer on another grid, and both sizes."""
    tokenizer = name.split(".")[1]
    configuration, table = source["configuration"], source["state_dict"][name]
    settings, width = configuration["tokenizers"][tokenizer], configuration["core"]["dim"]
    remade = cast(Tokenizer, remake(settings, "tokenizers", dim=width))
    remade.load_fitted(fitted_of(source, "tokenizers", tokenizer))
    grid = remade.position_shape
    if grid is None or table.shape != (prod(grid), dim):
        return None, ""
    value = resize(table, grid, shape)
    if value is None:
        return None, ""
    return value, " → ".join("×".join(map(str, sizes)) for sizes in (grid, shape))
