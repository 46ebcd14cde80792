"""Selection of samples in a batch, and the loss of one sequence as a prediction."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from unitf.tasks.task import Prediction


def take(rows: Tensor, sequences: Sequence[int]) -> Tensor:
    """Returns the rows of some samples.

    Where these are all rows in their order, `rows` itself is returned, not a copy.
    """
    if list(sequences) == list(range(rows.shape[0])):
        return rows
    index = torch.tensor(list(sequences), dtype=torch.long, device=rows.device)
    return rows.index_select(0, index)


def loss_of_sequence(total: float, count: int, of_ids: bool) -> Prediction:
    """Returns the mean loss of a sequence, and its perplexity if its tokens are ids.

    The loss is None where the sequence has no token.
    """
    if not count:
        return {"loss": None}
    loss = float(total / count)
    # exp(700) is about what float64 holds
    return {"loss": loss, **({"perplexity": math.exp(min(loss, 700.0))} if of_ids else {})}
