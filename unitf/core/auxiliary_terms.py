"""The terms that the blocks of a core add to the training loss."""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from unitf.core.auxiliary import BlockAuxiliary


def weighted_terms(
    auxiliary: Sequence[BlockAuxiliary],
    over_processes: Callable[[Tensor], tuple[Tensor, int]],
    step_fraction: float = 1.0,
) -> tuple[Float[Tensor, ""] | None, dict[str, Tensor]]:
    """Returns the weighted sum of all terms (None without terms), and the mean of each by name.

    A pass counts by its fraction of all tokens that its block reads in all passes and processes. A
    micro-batch counts by its fraction of the tokens of its optimizer step.

    Args:
        auxiliary: the auxiliary outputs of all passes.
        over_processes: returns the sum of counts over all processes, and the number of processes.
        step_fraction: this micro-batch's fraction of its step.
    """
    terms = [
        ((block.stack, block.block), block.num_tokens, block.losses())
        for block in auxiliary
        if block.losses()
    ]
    if not terms:
        return None, {}
    tokens, processes = _tokens_of_blocks(auxiliary, over_processes)
    total, sums = torch.zeros(()), dict[str, Tensor]()
    blocks_with: dict[str, set[tuple[str, int]]] = {}
    for block, num_tokens, losses in terms:
        fraction = num_tokens / max(tokens[block], 1) * processes * step_fraction
        for name, term in losses.items():
            value = term.value.float() * fraction
            total = total.to(value.device) + value * term.weight
            sums[name] = sums.get(name, torch.zeros_like(total)) + value.detach()
            blocks_with.setdefault(name, set()).add(block)
    return total, {name: value / len(blocks_with[name]) for name, value in sums.items()}


def _tokens_of_blocks(
    auxiliary: Sequence[BlockAuxiliary], over_processes: Callable[[Tensor], tuple[Tensor, int]]
) -> tuple[dict[tuple[str, int], float], int]:
    """Returns how many tokens each block reads in all passes, and the number of processes."""
    counts: dict[tuple[str, int], int] = {}
    for block in auxiliary:
        key = block.stack, block.block
        counts[key] = counts.get(key, 0) + block.num_tokens
    sums, processes = over_processes(torch.tensor(list(counts.values()), dtype=torch.float32))
    totals = cast(list[float], sums.tolist())  # pyright: ignore[reportUnknownMemberType]
    return dict(zip(counts, totals, strict=True)), processes
