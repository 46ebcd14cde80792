"""Prefix beam search for CTC: the most probable text, summed over all its alignments."""

import math
from collections import defaultdict

import numpy as np
from jaxtyping import Float

LEAST: float = -9.0  # less probable symbols (by logarithm) at a column extend no prefix there


def prefix_beam(logs: Float[np.ndarray, "T V"], beam: int, blank: int) -> list[int]:
    """Returns the symbols of the most probable text, by their indices (Hannun et al., 2014).

    Args:
        logs: the logarithm of each symbol's probability at each column.
        beam: the number of prefixes that are kept from one column to the next.
        blank: the index of the symbol that separates equal ones.
    """
    # for each prefix: the log probability of its alignments that end in blank, and of the others
    kept: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
    for column in logs.tolist():
        symbols = [n for n, log in enumerate(column) if log > LEAST and n != blank]
        ends: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [-math.inf, -math.inf])
        for prefix, (in_blank, in_symbol) in kept.items():
            whole = _add(in_blank, in_symbol)
            same = ends[prefix]
            same[0] = _add(same[0], whole + column[blank])
            for symbol in symbols:
                longer, log = ends[(*prefix, symbol)], column[symbol]
                if prefix and prefix[-1] == symbol:
                    same[1] = _add(same[1], in_symbol + log)  # a repeated symbol counts once …
                    longer[1] = _add(longer[1], in_blank + log)  # … unless it follows a blank
                else:
                    longer[1] = _add(longer[1], whole + log)
        best = sorted(ends.items(), key=lambda item: -_add(*item[1]))[:beam]
        kept = {prefix: (ended[0], ended[1]) for prefix, ended in best}
    return list(max(kept, key=lambda prefix: _add(*kept[prefix])))


def _add(one: float, other: float) -> float:
    """Returns the logarithm of the sum of two probabilities, given by their logarithms."""
    if other > one:
        one, other = other, one
    return one if other == -math.inf else one + math.log1p(math.exp(other - one))
