"""Weights of a trained model in another one: which are taken, and what is said of the rest."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from unitf.checkpoints.read import remake
from unitf.core.lora import is_adapter, plain_name
from unitf.registry.class_names import has_been
from unitf.tokenizer.position_embedding import LearnedPositions
from unitf.training.finetuning.resize_positions import resize

_EXTRA = "_extra_state"
_MOST = 6  # so many names does the line hold for each fate


@dataclass
class Transfer:
    """What became of the parameters of two models."""

    taken: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    resized: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)  # of the source

    def described(self) -> str:
        """All of it in one line."""
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
    """Names, those of a whole component as one."""
    whole = {_component(name) for name in names} - {_component(name) for name in others}
    short = [c if (c := _component(name)) in whole else name for name in names]
    short = list(dict.fromkeys(short))
    return ", ".join(short[:_MOST]) + (f", … ({len(short)})" if len(short) > _MOST else "")


def _component(name: str) -> str:
    """The core, a tokenizer or a task."""
    return name.split(".")[0] if name.startswith("core.") else ".".join(name.split(".")[:2])


def transfer(model: nn.Module, source: Mapping[str, Any], parts: Iterable[str]) -> Transfer:
    """Copies the weights of a source into a model of the same names, where the shapes agree.

    Args:
        source: `configuration` and `state_dict`.
        parts: of the model: core, tokenizers, tasks.
    """
    found, state = Transfer(), source["state_dict"]
    origins = _origins(model, source, tuple(parts))
    tables = {
        f"{name}.table": module.shape
        for name, module in model.named_modules()
        if isinstance(module, LearnedPositions)
    }
    for name, own in _tensors(model.state_dict()):
        if is_adapter(name):
            continue
        origin = origins.get(_component(name), _Origin()).name_of(plain_name(name))
        value = state.get(origin)
        if value is not None and value.shape == own.shape:
            found.taken.append(name)
        elif value is not None and name in tables:
            value, how = _resized(source, origin, tables[name], own.shape[1])
            if how:
                found.resized[name] = how
        else:
            value = None
        if value is None:
            found.new.append(name)
            continue
        found.used.add(origin)
        with torch.no_grad():
            own.copy_(value)
    found.left = [
        name
        for name, _ in _tensors(state)
        if name.split(".")[0] in parts and name not in found.used
    ]
    return found


def _tensors(state: Mapping[str, Any]) -> list[tuple[str, Tensor]]:
    return [(name, value) for name, value in state.items() if not name.endswith(_EXTRA)]


@dataclass(frozen=True)
class _Origin:
    """Of which component of the source a component takes its parameters, and not which."""

    component: str | None = None
    own: str = ""
    without: tuple[str, ...] = ()

    def name_of(self, name: str) -> str:
        """Of a parameter in the source; "" if it is to be none."""
        rest = name.removeprefix(f"{self.own}.")
        if self.component is None or rest.startswith(self.without):
            return ""
        return f"{self.component}.{rest}"


def _origins(model: Any, source: Mapping[str, Any], parts: tuple[str, ...]) -> dict[str, _Origin]:
    origins = {}
    if "core" in parts:
        origins["core"] = _Origin("core", "core")
    if "tokenizers" in parts:
        for name, tokenizer in model.tokenizers.items():
            if is_same_kind(tokenizer, source["configuration"]["tokenizers"].get(name)):
                origins[f"tokenizers.{name}"] = _Origin(f"tokenizers.{name}", f"tokenizers.{name}")
    if "tasks" in parts:
        theirs = source["configuration"]["tasks"]
        for name, task in model.tasks.items():
            # where both have one task, its name says little: it is the only one
            alone = len(theirs) == len(model.tasks) == 1
            other = next(iter(theirs)) if alone else name
            if is_same_kind(task, theirs.get(other)):
                learned = fitted_of(source, "tasks", other)
                without = () if _equal(task.fitted, learned) else task.fitted_parameters
                origins[f"tasks.{name}"] = _Origin(f"tasks.{other}", f"tasks.{name}", without)
    return origins


def is_same_kind(component: Any, settings: Mapping[str, Any] | None) -> bool:
    """Whether a component is of the class that a configuration names."""
    return settings is not None and has_been(type(component), settings)


def fitted_of(source: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    """What a tokenizer or task of the source learned before training."""
    state = source["state_dict"].get(f"{kind}.{name}.{_EXTRA}")
    return {} if state is None else state["fitted"]


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return isinstance(one, Tensor) and isinstance(other, Tensor) and torch.equal(one, other)
    return type(one) is type(other) and one == other


def _resized(
    source: Mapping[str, Any], name: str, shape: tuple[int, ...], dim: int
) -> tuple[Tensor | None, str]:
    """Learned positions of a tokenizer of the source on another grid, and how that differs."""
    tokenizer = name.split(".")[1]
    configuration, table = source["configuration"], source["state_dict"][name]
    made = remake(
        configuration["tokenizers"][tokenizer], "tokenizers", dim=configuration["core"]["dim"]
    )
    made.load_fitted(fitted_of(source, "tokenizers", tokenizer))
    grid = made.position_shape
    if grid is None or table.shape != (prod(grid), dim):
        return None, ""
    value = resize(table, grid, shape)
    if value is None:
        return None, ""
    return value, " → ".join("×".join(map(str, sizes)) for sizes in (grid, shape))
