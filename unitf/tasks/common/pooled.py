"""The base class of tasks that predict from one vector for each sequence."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from jaxtyping import Float
from torch import Tensor

from unitf.batch import TaskBatch
from unitf.tasks.heads.head import PooledHead
from unitf.tasks.task import Task, Tokenizers
from unitf.tokens import Tokens

_Outputs = TypeVar("_Outputs", bound=Callable[..., Tensor])


def by_head(outputs: _Outputs) -> _Outputs:
    """Marks a method `outputs` that reads no other columns than the task's `head` does."""
    outputs.__dict__["is_by_head"] = True
    return outputs


class Pooled(Task):
    """A task whose `head` predicts from the pooled columns of each sequence."""

    loss_per_sample: bool = True
    head: PooledHead

    def join_inputs(self, parts: Sequence[Tokens]) -> Tokens:
        """Joins the inputs, with what the head's pooling puts before each sequence."""
        return self.head.join_inputs(parts)

    @property
    def output_columns(self) -> tuple[int | None, int | None] | None:
        """The columns that the head reads; None: all of them."""
        # a subclass may override `outputs` and read other columns
        return self.head.output_columns if hasattr(type(self).outputs, "is_by_head") else None

    @by_head
    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "S size"]:
        """Returns what the head computes, in float32."""
        return self.head(columns).float()
