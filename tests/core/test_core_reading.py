"""Columns that no head reads are not computed in the last block; what is read stays the same."""

import pytest
import torch

from unitf import Features
from unitf.batch import Batch, TaskBatch
from unitf.core import Transformer, TransformerConfig
from unitf.nn.reference_mode import reference_mode
from unitf.tasks import Classification, NextToken
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Tokens
from unitf.training.learner import Learner

LENGTHS = (5, 1, 9, 3)
OPTIONS = {
    "pre-norm": {},
    "post-norm": {"norm_position": "post"},
    "norms around": {"norm_position": "sandwich"},
    "norm of the branch": {"norm_position": "res_post"},
    "batch norm": {"norm": "batch"},
    "parallel": {"residual": "parallel"},
    "one norm for both": {"residual": "parallel_shared"},
    "causal window": {"kind": "decoder", "window": 2},
    "one block thrice": {"share_blocks": True, "depth": 3},
    "recomputed": {"gradient_checkpointing": True},
    "drop path": {"drop_path": 0.5},
    "encoder-decoder": {"kind": "encoder-decoder"},
}


def core_tokens(**options):
    torch.manual_seed(0)
    sizes = {"dim": 16, "depth": 2, "num_heads": 4}
    core = Transformer(TransformerConfig(**{**sizes, **options})).double()
    tokens = Tokens.from_rows(torch.randn(sum(LENGTHS), 16, dtype=torch.float64), LENGTHS)
    memory = tokens if options.get("kind") == "encoder-decoder" else None
    return core, tokens, memory


@pytest.mark.parametrize("slices", [(0, 1), (-1, None), (1, 3)])
@pytest.mark.parametrize("options", OPTIONS)
def test_what_is_read_and_its_gradients_are_those_of_all_columns(options, slices):
    core, tokens, memory = core_tokens(**OPTIONS[options])
    places = tokens.column_indices([slices] * len(LENGTHS))
    found = []
    for output_columns in (None, places):
        core.zero_grad()
        torch.manual_seed(1)  # of drop path
        columns = core(tokens, memory, output_columns=output_columns)
        columns = columns.within(*slices) if output_columns is None else columns
        columns.matrix.square().sum().backward()
        gradients = [
            torch.zeros(1) if p.grad is None else p.grad.clone() for p in core.parameters()
        ]
        found.append((columns, gradients))
    (everything, some) = found
    assert everything[0].lengths == some[0].lengths
    assert torch.equal(everything[0].positions, some[0].positions)
    torch.testing.assert_close(everything[0].matrix, some[0].matrix)
    for a, b in zip(everything[1], some[1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def test_the_last_feed_forward_sees_only_what_is_read():
    core, tokens, _ = core_tokens()
    seen = []
    for block in core.encoder.blocks:
        block.feedforward.register_forward_hook(lambda m, inputs, o: seen.append(len(inputs[0])))
    core(tokens, output_columns=tokens.column_indices([(0, 1)] * len(LENGTHS)))
    assert seen == [sum(LENGTHS), len(LENGTHS)]


class Ids(Tokenizer):
    vocabulary_size = 11

    def encode(self, value, train=False):
        return Features(torch.tensor(value))


def learner_of(**tasks):
    torch.manual_seed(0)
    config = TransformerConfig(dim=16, depth=2, num_heads=4)
    learner = Learner(config, {"ids": Ids}, tasks)
    for task in learner.tasks.values():
        if isinstance(task, Classification):
            task.fitted = {"classes": ["a", "b"]}
    learner.build_components()
    return learner


def task_batch(target):
    features = Features(torch.randint(11, (sum(LENGTHS),)), lengths=LENGTHS)
    count = len(LENGTHS)
    return TaskBatch({"ids": features}, target, ("ids",) * count, ("",) * count, (None,) * count)


@pytest.mark.parametrize("pooling", ["class_token", "first", "last", "mean", "first_and_mean"])
def test_tasks_that_read_differently_share_a_pass(pooling):
    learner = learner_of(
        one=Classification(["ids"], "label", pooling=pooling),
        other=Classification(["ids"], "label", pooling="mean"),
    )
    labels = torch.tensor([0, 1, 1, 0])
    batch = Batch({"one": task_batch(labels), "other": task_batch(labels)})
    fast = learner.loss(batch)
    with reference_mode():
        slow = learner.loss(batch)
    torch.testing.assert_close(fast, slow)


def test_a_subclass_that_reads_by_itself_gets_all_columns():
    class Sum(Classification):
        def outputs(self, columns, batch, tokenizers):
            assert columns.lengths == tuple(n + 1 for n in LENGTHS)
            return super().outputs(columns, batch, tokenizers)

    learner = learner_of(one=Sum(["ids"], "label", pooling="class_token"))
    learner(Batch({"one": task_batch(torch.tensor([0, 1, 1, 0]))}))


def test_a_task_of_every_token_reads_all():
    assert NextToken(["ids"]).output_columns is None
