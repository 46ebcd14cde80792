"""Ensemble: several models as one, whose predictions are the mean of theirs."""

import copy
from collections.abc import Mapping, MutableMapping, Sequence
from typing import NoReturn, cast

import torch
from torch import nn

from unitf.batch import Batch, TaskData
from unitf.component import PlainData
from unitf.core.auxiliary import BlockAuxiliary
from unitf.errors import UserError
from unitf.model import Model
from unitf.tasks.task import Task
from unitf.tokens import Tokens


class Ensemble(Model):
    """Several trained models of one recipe as one model, for predictions and for measuring.

    It averages what each task says that can be averaged: probabilities of classes, or values. It
    has no core of its own, so it gives no columns, and it cannot be trained.

    Args:
        members: the models; tokenizers and tasks have learned the same before the training.

    Raises:
        UserError: the models differ, or a task cannot be averaged.
    """

    members: Sequence[Model]

    def __init__(self, members: Sequence[Model]) -> None:
        nn.Module.__init__(self)
        _check_alike(members)
        super()._share(members[0])
        # what a validation fitted is applied to each member's own output
        tasks = copy.deepcopy(dict(self.tasks.items()))
        for task in tasks.values():
            for name in task.calibrated:
                task.fitted.pop(name, None)
        self.tasks = cast(MutableMapping[str, Task], nn.ModuleDict(tasks))
        self.members = cast("Sequence[Model]", nn.ModuleList(members))

    def _share(self, model: Model) -> None:
        assert isinstance(model, Ensemble)
        super()._share(model)
        self.members = model.members

    def forward(
        self, batch: Batch, auxiliary: bool = False
    ) -> dict[str, TaskData] | tuple[dict[str, TaskData], list[BlockAuxiliary]]:
        """Returns the mean outputs of each task; there are no auxiliary outputs of blocks."""
        outputs = [self.outputs_of(member, batch) for member in self.members]
        means = {
            name: self.tasks[name].from_average(torch.stack([o[name] for o in outputs]).mean(0))
            for name in outputs[0]
        }
        return (means, []) if auxiliary else means

    @staticmethod
    def outputs_of(member: Model, batch: Batch) -> dict[str, torch.Tensor]:
        """Returns what is averaged of each task's output of one member."""
        outputs = cast(Mapping[str, TaskData], member(batch))
        return {name: member.tasks[name].to_average(output) for name, output in outputs.items()}

    def columns(self, batch: Batch, everything: bool = True) -> dict[str, Tokens]:
        """Raises a UserError: each member has columns of its own."""
        self._refuse("columns")

    def configuration(self) -> PlainData:
        """Raises a UserError: each member has a configuration and weights of its own."""
        self._refuse("one configuration")

    def _refuse(self, what: str) -> NoReturn:
        raise UserError(
            f"an ensemble of {len(self.members)} models does not have {what}, expected one of its "
            "members, such as RUN/fold-1"
        )


def check_averaged(tasks: Mapping[str, Task], option: str) -> None:
    """Checks that the predictions of all tasks can be averaged.

    Args:
        tasks: the tasks by name.
        option: what asks for it, for the message.

    Raises:
        UserError: those of a task cannot.
    """
    for name, task in tasks.items():
        if not task.can_average:
            raise UserError(
                f"{option}: model.tasks.{name}: what {type(task).__name__} predicts cannot be "
                "averaged, expected classes, labels or numbers"
            )


def _check_alike(members: Sequence[Model]) -> None:
    if not members:
        raise UserError("an ensemble has no members, expected one or more")
    first = members[0]
    check_averaged(dict(first.tasks.items()), "ensemble")
    for number, member in enumerate(members[1:], 2):
        if member.configuration() != first.configuration():
            raise UserError(f"ensemble: member {number} has another configuration than the first")
        for kind in ("tokenizers", "tasks"):
            for name, part in getattr(first, kind).items():
                if _learned(part) != _learned(getattr(member, kind)[name]):
                    raise UserError(
                        f"ensemble: {kind}.{name} of member {number} has learned something else "
                        "before its training than that of the first (was the data changed?)"
                    )


def _learned(part: nn.Module) -> str:
    """Returns what a tokenizer or a task learned from the training samples, as a text."""
    fitted = cast(PlainData, part.fitted)
    return repr({k: v for k, v in fitted.items() if k not in getattr(part, "calibrated", ())})
