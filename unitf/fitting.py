"""Tokenizers and tasks before training: fitted on the data, restored, built."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import torch

from unitf.errors import UserError
from unitf.tasks.task import Task
from unitf.tokenizer import Tokenizer

Tokenizers: TypeAlias = Any  # a mapping of names to Tokenizers: a dictionary, a ModuleDict
Tasks: TypeAlias = Any  # the same of Tasks


def check_inputs(tokenizers: Tokenizers, tasks: Tasks) -> None:
    """Every task has the tokenizers of its inputs.

    Raises:
        UserError: it does not, or there is no task.
    """
    if not tasks:
        raise UserError("model.tasks: found none, expected at least one")
    for name, task in tasks.items():
        for column, tokenizer in task.tokenized:
            if tokenizer not in tokenizers:
                raise UserError(
                    f"model.tasks.{name}: column {column!r} needs a tokenizer {tokenizer!r}, "
                    f"found {', '.join(tokenizers) or 'none'}"
                )


def fit_components(tokenizers: Tokenizers, tasks: Tasks, data: Any) -> None:
    """Fits those that know nothing yet, on `data.training_samples()`."""
    for name, tokenizer in tokenizers.items():
        if type(tokenizer).fit is Tokenizer.fit or tokenizer.is_fitted:
            continue
        columns = {
            column for task in tasks.values() for column, used in task.tokenized if used == name
        }
        tokenizer.fit(
            sample[column]
            for sample in data.training_samples()
            for column in columns
            if sample.get(column) is not None
        )
    for task in tasks.values():
        if type(task).fit is not Task.fit and not task.is_fitted:
            task.fit(sample for sample in data.training_samples() if task.takes(sample))


def build_components(tokenizers: Tokenizers, tasks: Tasks, dim: int, seed: int) -> None:
    """Makes their parameters, the same ones for the same seed."""
    wanted = frozenset().union(*(task.unembeds for task in tasks.values()))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, tokenizer in tokenizers.items():
            tokenizer.build(unembed=name in wanted)
        for task in tasks.values():
            task.build(dim=dim, **task.requirements(dict(tokenizers.items())))


def restore_components(tokenizers: Tokenizers, tasks: Tasks, state: Mapping[str, Any]) -> None:
    """Takes over how they were fitted and built from a checkpoint's `state_dict`."""
    for kind, modules in (("tokenizers", tokenizers), ("tasks", tasks)):
        for name, module in modules.items():
            key = f"{kind}.{name}._extra_state"
            if key not in state:
                raise UserError(f"the checkpoint has no {kind[:-1]} {name!r}")
            module.set_extra_state(state[key])
