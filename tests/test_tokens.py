"""Tokens and Features: packing, joining and padding lose nothing and mix nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unitf.features import Features
from unitf.tokens import Tokens

lengths_of = st.lists(st.integers(0, 5), min_size=1, max_size=6)


def random_tokens(lengths: list[int], dim: int = 3, axes: int = 1) -> Tokens:
    total = sum(lengths)
    return Tokens.from_rows(torch.randn(total, dim), lengths, torch.rand(axes, total))


def columns_are_contiguous(matrix: torch.Tensor) -> bool:
    return matrix.mT.is_contiguous()


def test_a_token_is_a_column_and_rows_are_a_free_view():
    rows = torch.arange(6.0).reshape(3, 2)
    tokens = Tokens.from_rows(rows)
    assert tokens.matrix.shape == (2, 3)
    assert tokens.matrix[:, 1].tolist() == [2, 3]
    assert tokens.rows.data_ptr() == tokens.matrix.data_ptr() == rows.data_ptr()
    assert tokens.offsets.tolist() == [0, 3]
    assert tokens.positions.tolist() == [[0, 1, 2]]


@given(lengths_of)
def test_padding_and_back_gives_the_same_tokens(lengths):
    tokens = random_tokens(lengths)
    padded, mask = tokens.to_padded(value=7.0)
    assert mask.sum(1).tolist() == lengths
    assert (padded[~mask] == 7.0).all()
    back = Tokens.from_padded(padded, mask)
    assert torch.equal(back.matrix, tokens.matrix)
    assert back.lengths == tuple(lengths)


def test_from_padded_takes_padding_on_either_side():
    padded = torch.arange(8.0).reshape(2, 4, 1)
    mask = torch.tensor([[False, True, True, False], [True, False, False, True]])
    tokens = Tokens.from_padded(padded, mask)
    assert tokens.matrix.tolist() == [[1, 2, 4, 7]]
    assert tokens.positions.tolist() == [[1, 2, 0, 3]]


@given(lengths_of, st.data())
def test_concat_joins_sequence_by_sequence(lengths, data):
    other = data.draw(st.lists(st.integers(0, 5), min_size=len(lengths), max_size=len(lengths)))
    first, second = random_tokens(lengths), random_tokens(other, axes=2)
    joined = Tokens.concat([first, second])
    assert columns_are_contiguous(joined.matrix)
    pairs = zip(joined.split(), first.split(), second.split(), strict=True)
    for sequence, one, two in pairs:
        assert torch.equal(sequence.matrix, torch.cat([one.matrix, two.matrix], dim=1))
        assert torch.equal(sequence.positions[0], torch.cat([one.positions[0], two.positions[0]]))
        assert (sequence.positions[1, : one.num_tokens] == 0).all()


@given(lengths_of, lengths_of)
def test_unpack_undoes_pack(lengths, others):
    first, second = random_tokens(lengths), random_tokens(others)
    packed = Tokens.pack([first, second])
    assert packed.lengths == (*lengths, *others)
    assert columns_are_contiguous(packed.matrix)
    for part, whole in zip(
        packed.unpack([len(lengths), len(others)]), (first, second), strict=True
    ):
        assert torch.equal(part.matrix, whole.matrix)
        assert torch.equal(part.positions, whole.positions)
        assert part.offsets.tolist() == whole.offsets.tolist()


def test_gradients_reach_a_part_that_brings_no_token():
    layer = torch.nn.Linear(2, 3)
    nothing = Tokens.from_rows(layer(torch.zeros(0, 2)), [0, 0])
    joined = Tokens.concat([nothing, random_tokens([1, 2])])
    joined.matrix.sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().sum() == 0


@given(lengths_of, st.booleans())
def test_features_split_undoes_pack(lengths, ids):
    items = [
        Features(torch.arange(n)) if ids else Features(torch.randn(4, n), torch.rand(2, n))
        for n in lengths
    ]
    packed = Features.pack(items)
    assert packed.is_ids == ids
    assert packed.lengths == tuple(lengths)
    assert ids or columns_are_contiguous(packed.values)
    for one, other in zip(packed.split(), items, strict=True):
        assert torch.equal(one.values, other.values)
        assert torch.equal(one.positions, other.positions)


def test_wrong_shapes_are_refused():
    with pytest.raises(Exception, match="positions"):
        Tokens.from_rows(torch.zeros(3, 2), positions=torch.zeros(1, 4))
