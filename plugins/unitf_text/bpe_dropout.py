"""BPE-dropout (Provilkov et al., 2020) with random numbers from Python's generator.

The `tokenizers` library has it too, but its generator cannot be seeded, so that a run could not be
repeated.
"""

import json
import random
from functools import lru_cache
from itertools import pairwise
from types import ModuleType

from unitf import UserError

Ranks = dict[tuple[str, str], int]


@lru_cache(maxsize=16)
def merge_ranks(description: str) -> Ranks:
    """Returns the merges in a tokenizer's JSON text, each with its rank.

    Raises:
        UserError: the tokenizer is not plain BPE.
    """
    model = json.loads(description)["model"]
    strange = [
        name
        for name in ("continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
        if model.get(name)
    ]
    if model["type"] != "BPE" or strange:
        kind = " with ".join([model["type"], *strange])
        raise UserError(f"dropout is BPE-dropout: it needs a plain BPE tokenizer, found {kind}")
    return {tuple(pair): rank for rank, pair in enumerate(model["merges"])}


def segment_with_dropout(
    word: str, ranks: Ranks, dropout: float, rng: random.Random | ModuleType
) -> list[str]:
    """Splits a word into pieces; at every step, `dropout` is the probability to skip a merge."""
    pieces = list(word)
    while len(pieces) > 1:
        possible = [
            (ranks[pair], index)
            for index, pair in enumerate(pairwise(pieces))
            if pair in ranks and rng.random() >= dropout
        ]
        if not possible:
            break
        _, index = min(possible)
        pieces[index : index + 2] = [pieces[index] + pieces[index + 1]]
    return pieces
