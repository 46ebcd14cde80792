"""Tasks that read a vector of each sequence."""

from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from unitf.batch import TaskBatch
from unitf.tasks.heads.head import PooledHead
from unitf.tasks.task import Task, Tokenizers
from unitf.tokens import Tokens


def by_head(read: Callable[..., Tensor]) -> Any:
    """Marks a `read` that needs no columns but those of the task's `head`."""
    read.is_by_head = True  # type: ignore[attr-defined]
    return read


class Pooled(Task):
    """A task whose `head` reads the pooled columns of each sequence."""

    loss_per_sample = True
    head: PooledHead

    def join_inputs(self, parts: Sequence[Tokens]) -> Tokens:
        return self.head.join_inputs(parts)

    @property
    def output_columns(self) -> tuple[int | None, int | None] | None:
        # a subclass may read otherwise
        return self.head.output_columns if hasattr(type(self).outputs, "is_by_head") else None

    @by_head
    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "S size"]:
        """What the head gives."""
        return self.head(columns).float()
