"""Tasks that read a vector of each sequence."""

from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from unitf.batch import View
from unitf.tasks.heads import PooledHead
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

    def arrange(self, parts: Sequence[Tokens]) -> Tokens:
        return self.head.arrange(parts)

    @property
    def reads(self) -> tuple[int | None, int | None] | None:
        # a subclass may read otherwise
        return self.head.reads if hasattr(type(self).read, "is_by_head") else None

    @by_head
    def read(self, columns: Tokens, view: View, tokenizers: Tokenizers) -> Float[Tensor, "S size"]:
        """What the head gives."""
        return self.head(columns).float()
