"""Bounds what a model costs that the configuration in a file describes, before it is made."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from unitf.errors import UserError
from unitf.limits import VARIABLE, limits

_CALLS = 200  # of a model without weights, and for each tensor of another


class BoundedModel(TorchDispatchMode):
    """A context in which a model is made that is about as large as its weights.

    Args:
        state: the weights that the model is to have, and states of components.

    Raises:
        UserError: the model has many more numbers or parts than the weights.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # True would import torch._dynamo, which takes a second

    def __init__(self, state: Mapping[str, object]) -> None:
        super().__init__()
        tensors = [value for value in state.values() if isinstance(value, Tensor)]
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
        self.held: int = sum(storages.values())  # bytes: as many numbers as a tensor can have
        self.allowed: float = self.held + limits().built_numbers
        self.calls: int = _CALLS * (10 + len(tensors))
        self.made = 0.0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Counts the numbers of a new tensor before it is made."""
        self.calls -= 1
        arguments = func._schema.arguments
        if arguments and arguments[0].name == "size" and args:
            self._count(math.prod(args[0]) if isinstance(args[0], Sequence) else 0)
        elif func._schema.name == "aten::arange":
            numbers = [abs(n) for n in args if isinstance(n, int | float)]
            self._count(max(numbers, default=0))
        else:
            self._count(0)
        return func(*args, **(kwargs or {}))

    def _count(self, numbers: int | float) -> None:
        self.made += numbers
        if self.made > self.allowed or self.calls < 0:
            raise UserError(
                f"its configuration describes a model much larger than its {self.held:,} bytes of "
                f"weights ({VARIABLE}=built_numbers=… sets another limit)"
            )
