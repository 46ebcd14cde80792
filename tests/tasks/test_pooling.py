"""Pooling: one vector a sequence, the same as a plain loop over the sequences."""

import pytest
import torch
from task_toys import DIM, random_tokens

from unitf.errors import UserError
from unitf.tasks.heads.head import Head, PooledHead
from unitf.tasks.heads.pooling import (
    POOLINGS,
    AttentionPooling,
    ClassTokenPooling,
    FirstAndMeanPooling,
    FirstPooling,
    LastPooling,
    LearnedToken,
    MeanPooling,
)
from unitf.tokens import Tokens

LENGTHS = [3, 0, 5, 1, 0]


def test_the_gradient_of_a_learned_token_lies_in_memory_as_the_token_does():
    token = LearnedToken(DIM)
    token(3).rows.sum().backward()
    assert token.column.grad is not None
    torch.testing.assert_close(token.column.grad, torch.full((DIM, 1), 3.0))
    assert token.column.grad.stride() == token.column.stride()


def test_the_mean_equals_a_loop_over_sequences():
    tokens = random_tokens(LENGTHS)
    expected = [
        rows.mean(0) if len(rows) else torch.zeros(DIM) for rows in tokens.rows.split(LENGTHS)
    ]
    torch.testing.assert_close(MeanPooling()(tokens), torch.stack(expected))


def test_first_and_last_take_a_token_or_zeros():
    tokens = random_tokens(LENGTHS)
    parts = tokens.rows.split(LENGTHS)
    for pooling, place in ((FirstPooling(), 0), (LastPooling(), -1)):
        expected = torch.stack([rows[place] if len(rows) else torch.zeros(DIM) for rows in parts])
        torch.testing.assert_close(pooling(tokens), expected, rtol=0, atol=0)


def test_the_first_and_the_mean_of_the_others_stand_below_each_other():
    tokens = random_tokens([3, 0, 5, 2])
    parts = tokens.rows.split([3, 0, 5, 2])
    for first, pooling in ((1, FirstAndMeanPooling()), (2, FirstAndMeanPooling([2, None]))):
        others = [p[first:].mean(0) if len(p) > first else torch.zeros(DIM) for p in parts]
        ones = [p[0] if len(p) else torch.zeros(DIM) for p in parts]
        expected = torch.cat([torch.stack(ones), torch.stack(others)], dim=1)
        torch.testing.assert_close(pooling(tokens), expected)
    head = PooledHead(DIM, 4, "first_and_mean", settings=Head(columns=[2, None]))
    torch.testing.assert_close(head(tokens), head.linear(expected))


def test_attention_equals_a_loop_over_sequences_and_heads():
    pooling = AttentionPooling(DIM, num_heads=2)
    torch.nn.init.normal_(pooling.queries.weight)
    tokens = random_tokens(LENGTHS)
    expected = torch.zeros(len(LENGTHS), DIM)
    for s, rows in enumerate(tokens.rows.split(LENGTHS)):
        for head in range(2):
            part = slice(head * DIM // 2, (head + 1) * DIM // 2)
            if len(rows):
                scores = rows @ pooling.queries.weight[head] / DIM**0.5
                values = rows @ pooling.values.weight[part].mT + pooling.values.bias[part]
                expected[s, part] = scores.softmax(0) @ values
    torch.testing.assert_close(pooling(tokens), expected)


def test_attention_survives_scores_that_overflow_exp():
    pooling = AttentionPooling(DIM, num_heads=2)
    torch.nn.init.constant_(pooling.queries.weight, 100.0)
    pooled = pooling(random_tokens(LENGTHS))
    assert pooled.isfinite().all()
    pooled.sum().backward()
    assert pooling.queries.weight.grad.isfinite().all()


@pytest.mark.parametrize("name", POOLINGS)
def test_a_sequence_pools_the_same_alone_and_in_a_batch(name):
    torch.manual_seed(0)
    pooling = POOLINGS[name](DIM)
    tokens = random_tokens(LENGTHS)
    together = pooling(pooling.join_inputs([tokens]))
    alone = [pooling(pooling.join_inputs([one])) for one in tokens.split()]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("name", ["mean", "attention", "class_token"])
def test_the_order_of_tokens_does_not_matter(name):
    torch.manual_seed(0)
    pooling = POOLINGS[name](DIM)
    rows = random_tokens([6]).rows
    before = pooling(pooling.join_inputs([Tokens.from_rows(rows)]))
    after = pooling(pooling.join_inputs([Tokens.from_rows(rows[[3, 5, 0, 1, 4, 2]])]))
    torch.testing.assert_close(before, after)


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("lengths", [[], [0], [0, 0, 0]])
def test_batches_without_tokens_give_a_vector_for_each_sequence(name, lengths):
    pooling = POOLINGS[name](DIM)
    pooled = pooling(pooling.join_inputs([random_tokens(lengths)]))
    assert pooled.shape == (len(lengths), DIM * pooling.width)
    assert pooled.isfinite().all()


def test_the_class_token_stands_before_every_sequence_and_learns():
    pooling = ClassTokenPooling(DIM)
    first, second = random_tokens([2, 0, 3]), random_tokens([0, 0, 1], seed=1)
    columns = pooling.join_inputs([first, second])
    assert columns.lengths == (3, 1, 5)
    for start in columns.offsets[:-1].tolist():
        assert torch.equal(columns.matrix[:, start : start + 1], pooling.token.column)
    weights = torch.tensor([1.0, 2.0, 4.0])[:, None]
    (pooling(columns) * weights).sum().backward()
    assert torch.equal(pooling.token.column.grad, torch.full((DIM, 1), 7.0))


def test_the_class_token_is_part_of_the_graph_of_an_empty_batch():
    pooling = ClassTokenPooling(DIM)
    pooling.join_inputs([random_tokens([])]).matrix.sum().backward()
    assert torch.equal(pooling.token.column.grad, torch.zeros(DIM, 1))


def test_the_mean_of_many_bfloat16_tokens_is_right():
    tokens = Tokens.from_rows(torch.ones(1000, DIM, dtype=torch.bfloat16), [1000])
    assert torch.equal(MeanPooling()(tokens), torch.ones(1, DIM))


def test_pooling_works_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        for name, make in POOLINGS.items():
            pooling = make(DIM)
            pooled = pooling(pooling.join_inputs([random_tokens(LENGTHS)]))
            assert pooled.isfinite().all(), name


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="16 does not divide by 3"):
        AttentionPooling(DIM, num_heads=3)


def test_pieces_are_pooled_each_by_itself():
    tokens = random_tokens([6, 0, 4])
    head = PooledHead(DIM, 3, "mean", settings=Head(pieces=2))
    parts = tokens.rows.split([6, 0, 4])
    halves = [torch.cat([half.mean(0) for half in p.chunk(2)]) for p in parts if len(p)]
    expected = torch.stack([halves[0], torch.zeros(2 * DIM), halves[1]])
    torch.testing.assert_close(head(tokens), head.linear(expected))
    with pytest.raises(UserError, match="5 columns cannot be cut in 2 equal pieces"):
        head(random_tokens([5]))
    with pytest.raises(UserError, match="class token"):
        PooledHead(DIM, 3, "class_token", settings=Head(pieces=2))
