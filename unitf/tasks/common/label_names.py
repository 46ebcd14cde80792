"""LabelNames: the base class of tasks with named classes."""

import math
from abc import ABC
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import numpy as np
from torch import Tensor

from unitf.errors import UserError, close_names
from unitf.spelling import tidied
from unitf.tasks.task import Task

Label = str | int | bool  # `str` comes first, or the parser reads "no" as a boolean


def as_label(value: object) -> Label:
    """Returns a raw value as the name of a class: a text, a whole number or a boolean.

    A text gets one spelling: white space around it, or doubled in it, makes no other class.

    Raises:
        UserError: the value is something else.
    """
    if isinstance(value, np.generic | np.ndarray | Tensor) and math.prod(value.shape) == 1:
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, Label):
        raise UserError(
            "a class is a text, a whole number or a boolean, "
            f"found {type(value).__name__} {str(value)[:80]!r}"
        )
    return tidied(value) if isinstance(value, str) else value


def _order(name: Label) -> tuple[int, int, str]:
    """Returns the place of a class among others: numbers by their size, then texts."""
    text = str(name)
    is_number = not isinstance(name, bool) and text.removeprefix("-").isdecimal()
    return (0, int(text), text) if is_number else (1, 0, text)


class LabelNames(Task, ABC):
    """A task with named classes, which are given or learned from the training samples.

    Args:
        classes: the names of the classes; None: those of the training samples, sorted.
    """

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        classes: Sequence[Label] | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__(inputs, target, weight)
        self.given_classes: Sequence[Label] | None = classes
        self._numbers: dict[str, int] = {}
        if classes is not None:
            self._learn([as_label(name) for name in classes])

    @property
    def classes(self) -> list[Label]:
        """The names of the classes, in the order of the logits."""
        if "classes" not in self.fitted:
            raise UserError(f"the classes of {self.target!r} are not known before fit()")
        return cast("list[Label]", self.fitted["classes"])

    @property
    def num_classes(self) -> int:
        """The number of classes, which is the number of logits."""
        return len(self.classes)

    def _learn(self, names: list[Label]) -> None:
        if len(names) < 2 or len(set(map(str, names))) < len(names):
            raise UserError(
                f"target {self.target!r}: expected two or more different classes, found {names}"
            )
        self.fitted: dict[str, object] = {"classes": names}

    def learn_from(self, labels: Iterable[Label]) -> None:
        """Learns the classes from the labels that occur, unless the constructor got them."""
        if self.given_classes is None:
            by_text: dict[str, Label] = {}
            for label in labels:
                by_text.setdefault(str(label), label)
            self._learn(sorted(by_text.values(), key=_order))

    def number(self, label: Label) -> int:
        """Returns the index of a class in the logits; classes are compared as text.

        Raises:
            UserError: the class is unknown.
        """
        if len(self._numbers) != self.num_classes:
            self._numbers = {str(name): index for index, name in enumerate(self.classes)}
        for spelling in _spellings(label):
            if spelling in self._numbers:
                return self._numbers[spelling]
        names = [str(name) for name in self.classes]
        similar = close_names(str(label), names)
        hint = f"did you mean {' or '.join(map(repr, similar))}?" if similar else "known: "
        if not similar:
            hint += ", ".join(names[:10]) + (f", … ({len(names)})" if len(names) > 10 else "")
        raise UserError(f"target {self.target!r}: unknown class {label!r}; {hint}")


def _spellings(label: Label) -> Iterator[str]:
    """Yields the texts under which a class may be known.

    In a file with missing cells, pandas writes the class 1 as 1.0; and there are several ways to
    write a boolean.
    """
    text = str(label)
    yield text
    if text.removesuffix(".0").removeprefix("-").isdecimal():
        yield text.removesuffix(".0")
    if text.lower() in ("true", "false"):
        yield from (text.lower(), text.capitalize(), text.upper())
