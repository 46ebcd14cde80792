"""Auxiliary losses: blocks return them by value, the Learner sums them and logs them by name."""

import csv
import subprocess
import sys

import pytest
import torch
from folders import ROOT
from toys import make_data, make_learner, make_trainer

import unitf
from unitf import Features, Learner, TransformerConfig, UserError
from unitf.core import AuxiliaryLoss, FeedForward, Transformer
from unitf.data import Encoder
from unitf.nn.reference_mode import reference_mode
from unitf.tasks import Classification, SequenceToSequence
from unitf.tokens import Tokens

EXPERTS = {"class_path": "MixtureOfExperts", "init_args": {"num_experts": 4, "balance": 0.5}}


class Undeclared(FeedForward):
    """It returns a term, and does not say so."""

    def __init__(self, config):
        super().__init__()

    def forward(self, rows):
        return rows, {"size": AuxiliaryLoss(rows.square().mean(), 1.0)}


class Letters(unitf.Tokenizer):
    """A letter a token."""

    vocabulary_size = 30

    def encode(self, value, train=False):
        return Features(torch.tensor([ord(letter) % 28 for letter in value]))


SAMPLES = [
    {"text": "hello", "target": "bonjour", "label": 0},
    {"text": "ab", "target": "x", "label": 1},
    {"text": "house", "target": "maison", "label": 1},
]


def learner_of(tasks, kind="encoder-decoder", feedforward=EXPERTS, **core):
    torch.manual_seed(0)
    config = {
        "dim": 16,
        "depth": 2,
        "num_heads": 2,
        "relative_positions": "rotary",
        "kind": kind,
        **core,
    }
    learner = Learner(
        TransformerConfig(**config, feedforward=feedforward), {"text": Letters}, tasks
    )
    learner.build_components()
    with torch.no_grad():  # so that routes differ
        for parameter in learner.core.parameters():
            parameter.mul_(5 if parameter.ndim > 1 else 1)
    return learner.train()


def translating(**settings):
    return {"write": SequenceToSequence(["text"], "target", "text", **settings)}


def batch_of(learner, samples=SAMPLES):
    encode = Encoder(learner.tokenizers, learner.tasks)
    return encode([encode.item(number, sample) for number, sample in enumerate(samples)])


def outcome(learner, batch):
    learner.zero_grad()
    found = learner.training_loss(batch)
    found.total.backward()
    gradients = [p.grad.clone() for p in learner.parameters()]
    return [found.total.detach(), found.tasks.detach(), found.terms["balance"], *gradients]


def test_the_total_loss_is_that_of_the_tasks_and_the_weighted_terms_of_all_blocks():
    learner = learner_of(translating())
    found = learner.training_loss(batch_of(learner))
    blocks = [(block.stack, block.block) for block in found.auxiliary]
    assert blocks == [("encoder", 0), ("encoder", 1), ("decoder", 0), ("decoder", 1)]
    values = torch.stack([block.losses()["balance"].value for block in found.auxiliary])
    torch.testing.assert_close(found.total, found.tasks + 0.5 * values.sum())
    torch.testing.assert_close(found.terms, {"balance": values.mean().detach()})
    assert found.total == learner.loss(batch_of(learner))


def test_a_core_without_terms_has_the_loss_of_its_tasks():
    learner = learner_of(translating(), feedforward="dense")
    found = learner.training_loss(batch_of(learner))
    assert found.total is found.tasks
    assert (found.terms, found.auxiliary) == ({}, [])


@pytest.mark.parametrize("kind", ["encoder", "decoder", "encoder-decoder"])
def test_a_core_returns_what_its_blocks_return_if_it_is_asked(kind):
    torch.manual_seed(0)
    sizes = {"dim": 16, "depth": 1, "num_heads": 2}
    core = Transformer(TransformerConfig(**sizes, kind=kind, feedforward=EXPERTS))
    tokens = Tokens.from_rows(torch.randn(5, 16), (2, 3))
    memory = tokens if kind == "encoder-decoder" else None
    found = core(tokens, memory, auxiliary=True)
    assert torch.equal(found.tokens.rows, core(tokens, memory).rows)
    stacks = {"encoder-decoder": ["encoder", "decoder"]}.get(kind, [kind])
    assert [block.stack for block in found.auxiliary] == stacks


def test_reference_mode_and_checkpointing_have_the_same_terms_and_gradients():
    learner = learner_of(translating())
    expected = outcome(learner, batch_of(learner))
    with reference_mode():
        plain = outcome(learner, batch_of(learner))
    torch.testing.assert_close(plain, expected, rtol=1e-4, atol=1e-5)
    again = learner_of(translating(), gradient_checkpointing=True)
    torch.testing.assert_close(outcome(again, batch_of(again)), expected)


def test_both_passes_of_r_drop_count_once():
    once, twice = learner_of(translating()), learner_of(translating(consistency=5.0))
    # without dropout both passes are the same, and so is all that comes of them
    expected, found = outcome(once, batch_of(once)), outcome(twice, batch_of(twice))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_term_is_the_mean_over_the_tokens_of_all_passes_of_a_step():
    tasks = {**translating(), "label": Classification(["text"], "label", [0, 1])}
    learner = learner_of(tasks)
    found = learner.training_loss(batch_of(learner))
    # the encoder reads a memory in one pass, and the texts to classify in the other
    first = [block for block in found.auxiliary if (block.stack, block.block) == ("encoder", 0)]
    assert len(first) == 2
    total = sum(block.num_tokens for block in first)
    blocks = {(block.stack, block.block) for block in found.auxiliary}
    expected = found.tasks
    for key in blocks:
        same = [block for block in found.auxiliary if (block.stack, block.block) == key]
        total = sum(block.num_tokens for block in same)
        for block in same:
            term = block.losses()["balance"]
            expected = expected + term.weight * term.value * block.num_tokens / total
    torch.testing.assert_close(found.total, expected)


def test_two_tasks_over_one_pass_have_each_term_once():
    labels = {name: Classification(["text"], "label", [0, 1]) for name in ("one", "other")}
    learner = learner_of(labels, kind="encoder")
    found = learner.training_loss(batch_of(learner))
    assert len(found.auxiliary) == 2  # one for each block


def test_a_task_that_reads_few_columns_has_the_terms_of_all_tokens():
    first = {"one": Classification(["text"], "label", [0, 1], pooling="first")}
    learner = learner_of(first, kind="encoder")
    expected = outcome(learner, batch_of(learner))
    with reference_mode():
        plain = outcome(learner, batch_of(learner))
    torch.testing.assert_close(plain, expected, rtol=1e-4, atol=1e-5)
    blocks = learner.training_loss(batch_of(learner)).auxiliary
    assert [block.num_tokens for block in blocks] == [12, 12]


def test_a_batch_without_samples_has_no_terms_but_all_gradients():
    learner = learner_of(translating())
    found = outcome(learner, batch_of(learner, []))
    assert found[0] == 0
    assert len(found) == 3 + len(list(learner.parameters()))


def test_accumulated_batches_give_the_mean_of_their_terms():
    """What Lightning does with two batches of one step."""
    learner = learner_of(translating())
    halves = [batch_of(learner, SAMPLES[:2]), batch_of(learner, SAMPLES[2:])]
    expected = [
        torch.stack(pair).mean(0)
        for pair in zip(*(outcome(learner, h) for h in halves), strict=True)
    ]
    learner.zero_grad()
    for half in halves:
        (learner.training_loss(half).total / 2).backward()
    found = [p.grad for p in learner.parameters()]
    torch.testing.assert_close(found, expected[3:], rtol=1e-5, atol=1e-6)


def test_who_returns_terms_must_say_so():
    unitf.register(Undeclared)
    core = Transformer(TransformerConfig(dim=16, depth=1, num_heads=2, feedforward="Undeclared"))
    with pytest.raises(UserError, match="expected has_auxiliary = True"):
        core(Tokens.from_rows(torch.randn(5, 16), (2, 3)))


def rows_of(folder):
    with (folder / "metrics.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def logged(rows, name):
    return [float(row[name]) for row in rows if row.get(name)]


def test_terms_and_figures_are_logged_by_name(tmp_path):
    from lightning.pytorch.loggers import CSVLogger

    learner = make_learner(feedforward=EXPERTS)
    logger = CSVLogger(tmp_path, name="", version="")
    settings = {"max_epochs": 2, "log_every_n_steps": 1, "logger": logger}
    make_trainer(tmp_path, **settings).fit(learner, make_data())
    rows = rows_of(tmp_path)
    balances, losses = logged(rows, "train/balance_step"), logged(rows, "train/loss_step")
    totals = logged(rows, "train/total_loss_step")
    assert len(balances) == len(losses) == len(totals) == 24
    for balance, loss, total in zip(balances, losses, totals, strict=True):
        assert balance >= 0.5
        assert total == pytest.approx(loss + 2 * 0.5 * balance, rel=1e-5)  # two blocks
    for block in range(2):
        loads = [logged(rows, f"train/expert_load/encoder.{block}/{n}") for n in range(4)]
        assert [len(each) for each in loads] == [2] * 4  # once an epoch
        for epoch in zip(*loads, strict=True):
            assert sum(epoch) == pytest.approx(1, abs=1e-5)
    assert logged(rows, "validation/loss")
    assert not [name for name in rows[0] if name.startswith("validation") and "balance" in name]


def two_or_one(folder, *options):
    """Losses and balances of the quickstart's first steps, without what a process draws alone."""
    recipe = ROOT / "configs" / "quickstart.yaml"
    command = [
        sys.executable, "-m", "unitf", "fit", "--config", str(recipe), "--out", str(folder),
        "--trainer.max_steps", "3", "--trainer.max_epochs", "-1", "--trainer.limit_val_batches",
        "1", "--test_after_fit", "false", "--model.core.dropout", "0",
        "--trainer.log_every_n_steps", "1", "--model.core.feedforward", "MixtureOfExperts",
        "--model.core.feedforward.init_args.num_experts", "4",
        "--model.core.feedforward.init_args.balance", "0.1", "--data.num_workers", "0",
    ]  # fmt: skip
    subprocess.run([*command, *options], check=True, timeout=600, capture_output=True)
    names = ("train/loss_step", "train/balance_step", "train/total_loss_step")
    return {name: logged(rows_of(folder), name) for name in names}


@pytest.mark.slow
def test_two_processes_that_compute_blocks_again_have_the_terms_of_one_that_does_not(tmp_path):
    one = two_or_one(tmp_path / "one")
    shared = ["--data.batch_size", "32", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    again = ["--model.core.gradient_checkpointing", "true"]
    two = two_or_one(tmp_path / "two", *again, *shared)
    for name, values in one.items():
        assert len(values) == 3
        assert two[name] == pytest.approx(values, abs=1e-5)
