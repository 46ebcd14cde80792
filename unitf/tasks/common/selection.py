"""The results of some samples among those of all."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def take(rows: Tensor, sequences: Sequence[int]) -> Tensor:
    """The rows of some samples; without a copy where they are all of them, in order."""
    if list(sequences) == list(range(rows.shape[0])):
        return rows
    index = torch.tensor(list(sequences), dtype=torch.long, device=rows.device)
    return rows.index_select(0, index)


def loss_of_sequence(total: float, count: int, of_ids: bool) -> dict[str, Any]:
    """The mean loss of a sequence (none: it has no token), and the perplexity of one of ids."""
    if not count:
        return {"loss": None}
    loss = float(total / count)
    # exp(700) is about what float64 holds
    return {"loss": loss, **({"perplexity": math.exp(min(loss, 700.0))} if of_ids else {})}
