"""Prefix beam search finds the text that is most probable over all its alignments."""

from collections import defaultdict
from itertools import groupby, product

import numpy as np
import pytest
import torch

from unitf import UserError
from unitf.tasks.common.prefix_beam import prefix_beam
from unitf.tasks.transcription import Reading, Transcription


def by_counting(logs, blank):
    """The most probable text, from the probability of every alignment."""
    totals = defaultdict(float)
    for path in product(range(logs.shape[1]), repeat=len(logs)):
        text = tuple(n for n, _ in groupby(path) if n != blank)
        totals[text] += np.exp(sum(logs[t, n] for t, n in enumerate(path)))
    return list(max(totals, key=lambda text: totals[text]))


@pytest.mark.parametrize("blank", [0, 2])
def test_a_wide_beam_finds_the_best_text(blank):
    generator = torch.Generator().manual_seed(0)
    texts = set()
    for _ in range(30):
        logs = (2 * torch.randn(5, 3, generator=generator)).log_softmax(1).numpy()
        found = prefix_beam(logs, 1_000, blank)
        assert found == by_counting(logs, blank)
        texts.add(tuple(found))
    assert len(texts) > 5


def test_it_finds_what_the_best_symbols_of_columns_miss():
    # 0.6 · 0.6 that nothing is said, but 0.64 that "a" is, in one of three alignments
    logs = torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log()
    output = Reading(logs, (2, 0))
    greedy, beam = (Transcription(["s"], "t", ["", "a"], beam=b) for b in (None, 4))
    assert greedy.write(output) == ["", ""]
    assert beam.write(output) == ["a", ""]


def test_equal_letters_need_a_blank_between_them():
    certain = torch.full((5, 3), -20.0)
    certain[torch.arange(5), torch.tensor([1, 1, 0, 1, 2])] = 20.0
    task = Transcription(["s"], "t", ["", "a", "b"], beam=3)
    assert task.write(Reading(certain, (5,))) == ["aab"]


def test_a_beam_of_none_is_refused():
    with pytest.raises(UserError, match="beam must be 1 or more, found 0"):
        Transcription(["s"], "t", beam=0)
