"""TokenIds: ids that somebody else has made."""

from functools import partial

import numpy as np
import pytest
import torch
from unitf_text import TokenIds

from unitf import UserError
from unitf.testing import check_tokenizer

FRAME = {"start_id": 1, "end_id": 2, "mask_id": 3, "add_start": True, "add_end": True}


def test_it_keeps_to_the_contract(monkeypatch):
    from unitf.testing import CHECKS

    kept = {name: check for name, check in CHECKS.items() if "spawned" not in name}
    monkeypatch.setattr("unitf.testing.CHECKS", kept)
    check_tokenizer(TokenIds, TokenIds.examples(), vocabulary_size=8)
    pairs = [([4, 5], [6]), [7, 4]]
    check_tokenizer(TokenIds, pairs, vocabulary_size=8, num_segments=2, **FRAME)


@pytest.mark.parametrize("value", [[5, 6, 7], (5, 6, 7), "5 6 7", torch.tensor([5, 6, 7]), b"5 6 7",
                                   np.array([5, 6, 7])])  # fmt: skip
def test_lists_arrays_and_texts_of_ids_are_ids(value):
    assert TokenIds(8, 10).encode(value).values.tolist() == [5, 6, 7]
    framed = TokenIds(8, 10, **FRAME)
    assert framed.encode(value).values.tolist() == [1, 5, 6, 7, 2]
    assert framed.decode(framed.encode(value)) == [5, 6, 7]


def test_two_ids_are_no_pair_but_two_lists_are():
    tokenizer = TokenIds(8, 10, num_segments=2, **FRAME)
    assert tokenizer.encode([5, 6]).values.tolist() == [1, 5, 6, 2]
    features = tokenizer.encode([[5, 6], [7]])
    assert features.values.tolist() == [1, 5, 6, 2, 7, 2]
    assert features.positions[1].tolist() == [0, 0, 0, 0, 1, 1]
    assert tokenizer.decode(features) == ([5, 6], [7])


@pytest.mark.parametrize(
    ("make", "value", "message"),
    [
        (partial(TokenIds, 8, 10), [5, 10], "expected ids from 0 to 9, found 10"),
        (partial(TokenIds, 8, 10), [-1], "found -1"),
        (partial(TokenIds, 8, 10), "five", "expected ids .whole numbers., found 'five'"),
        (partial(TokenIds, 8, 10), [1.5], "found '1.5'"),
        (partial(TokenIds, 8, 10), [], "empty text"),
        (partial(TokenIds, 8, 0), [1], "vocabulary_size: expected 1 or more, found 0"),
        (partial(TokenIds, 8, 10, mask_id=10), [1], "mask_id: expected an id from 0 to 9"),
        (partial(TokenIds, 8, 10, add_end=True), [1], "add_end needs end_id"),
    ],
)
def test_what_is_no_id_is_said(make, value, message):
    with pytest.raises(UserError, match=message):
        make().encode(value)
