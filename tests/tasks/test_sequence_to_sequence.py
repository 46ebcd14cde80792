"""SequenceToSequence: a target after a source, in one core of two stacks or in a prefix decoder."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from task_toys import DIM, triples
from torch.nn import functional
from toys import make_trainer
from unitf_text import Bytes

from unitf import Features, Learner, Source, Tokenizer, TransformerConfig, UserError
from unitf.data import Encoder
from unitf.generation import Generation
from unitf.tasks import Classification, NextToken, SequenceToSequence
from unitf.tasks.common.target_sequence import TargetPositions
from unitf.training import DataModule


class Letters(Tokenizer):
    """A letter a token; 0 begins a text and 1 ends it."""

    vocabulary_size = 30
    start_id, end_id = 0, 1

    def encode(self, value, train=False):
        ids = [2 + ord(letter) % 28 for letter in value]
        return Features(torch.tensor([29] * len(ids) if train else ids, dtype=torch.long))


class Plain(Letters):
    """The same, not augmented."""

    def encode(self, value, train=False):
        return super().encode(value)

    def decode(self, features):
        return "".join(chr(48 + (i - 2 - 48) % 28) for i in features.values.tolist() if i > 1)


class Triples(Tokenizer):
    """Three numbers a token."""

    num_features = 3

    def encode(self, value, train=False):
        return Features(torch.as_tensor(value, dtype=torch.float32))


class Flipped(Source):
    """Short numbers in four digits, and the same from behind."""

    def read(self, split, root):
        generator = np.random.default_rng(self.splits().index(split))
        size = 512 if split == "train" else 64
        texts = (generator.integers(0, 4, generator.integers(1, 4)) for _ in range(size))
        texts = ["".join(map(str, digits)) for digits in texts]
        return [{"text": text, "flipped": text[::-1]} for text in texts]


SAMPLES = [
    {"text": "hello", "target": "olá"},
    {"image": triples(4), "target": "a"},
    {"text": "ab", "image": triples(2, seed=1), "target": "xyzzy"},
]
KINDS = {
    "memory": ("encoder-decoder", {}),
    "memory, start token": ("encoder-decoder", {"start": "tokenizer"}),
    "prefix": ("decoder", {"prefix": True}),
    "prefix, start token": ("decoder", {"prefix": True, "start": 5}),
    "own positions": ("encoder-decoder", {"target_positions": TargetPositions(9, offset=2)}),
}


def learner(
    kind="encoder-decoder", others=None, relative_positions="rotary", dropout=0.0, **settings
):
    torch.manual_seed(0)
    task = SequenceToSequence(["text", "image"], "target", "text", **settings)
    made = Learner(
        TransformerConfig(
            dim=DIM,
            depth=2,
            num_heads=2,
            kind=kind,
            relative_positions=relative_positions,
            dropout=dropout,
        ),
        {"text": Letters, "image": Triples},
        {"write": task, **(others or {})},
    )
    made.build_components()
    with torch.no_grad():  # so that every token matters to every other
        for parameter in made.core.parameters():
            parameter.mul_(5 if parameter.ndim > 1 else 1)
    return made.eval()


def batch_of(model, samples, **settings):
    encode = Encoder(model.tokenizers, model.tasks, **settings)
    return encode([encode.item(number, sample) for number, sample in enumerate(samples)])


def losses_of(model, samples):
    """The losses of each sample's target, token by token."""
    batch = batch_of(model, samples)
    task_batch = batch.task_batches["write"]
    return model(batch)["write"]["losses"].split(task_batch.sequence.lengths)


def test_the_target_ends_with_the_end_token_once_and_is_not_augmented():
    model = learner()
    encode = Encoder(model.tokenizers, model.tasks)
    item = encode.item(0, {"text": "ab", "target": "cd"})._replace(train=True)
    batch = encode([item]).task_batches["write"]
    assert batch.features["text"].values.tolist() == [29, 29]
    plain = Letters(DIM).encode("cd").values.tolist()
    assert batch.sequence.values.tolist() == [*plain, 1]
    assert batch.sequence.positions.tolist() == [[0, 1, 2]]
    task = model.tasks["write"]
    assert task.encode_sequence(batch.sequence, model.tokenizers["text"]) is batch.sequence
    assert encode.num_tokens(item) == 2 + 3
    assert batch.num_tokens == 5


@pytest.mark.parametrize("name", KINDS)
def test_a_token_is_predicted_from_the_source_and_those_before_it(name):
    kind, settings = KINDS[name]
    model = learner(kind, **settings)
    sample = {"text": "source", "target": "abcdef"}
    before = losses_of(model, [SAMPLES[1], sample])[1]
    for place in (0, 3, 5):
        changed = "abcdef"[:place] + "q" + "abcdef"[place + 1 :]
        after = losses_of(model, [SAMPLES[1], {**sample, "target": changed}])[1]
        torch.testing.assert_close(after[:place], before[:place])
        assert not torch.isclose(after[place:], before[place:]).any()
    for source in ("tource", "sourcf"):
        after = losses_of(model, [SAMPLES[1], {**sample, "text": source}])[1]
        assert not torch.isclose(after, before).any()


@pytest.mark.parametrize("name", KINDS)
def test_a_sample_has_the_same_losses_alone_and_in_a_batch(name):
    kind, settings = KINDS[name]
    model = learner(kind, **settings)
    together = losses_of(model, SAMPLES)
    for sample, losses in zip(SAMPLES, together, strict=True):
        torch.testing.assert_close(losses_of(model, [sample])[0], losses)


def test_the_losses_are_those_of_the_textbook():
    model = learner(start="tokenizer")
    text, sample = model.tokenizers["text"], {"text": "hello", "target": "abc"}
    target = [*text.encode("abc").values.tolist(), 1]
    memory = model.core.encode(text(text.encode("hello")))
    columns = model.core.decode(text(Features(torch.tensor([0, *target[:-1]]))), memory)
    logits = columns.rows @ text.embedding.weight.mT
    expected = functional.cross_entropy(logits, torch.tensor(target), reduction="none")
    torch.testing.assert_close(losses_of(model, [sample])[0], expected)
    smooth = learner(start="tokenizer", label_smoothing=0.2)
    batch = batch_of(smooth, [sample])
    found = smooth._losses(batch, smooth(batch))["write"]
    expected = functional.cross_entropy(
        logits, torch.tensor(target), reduction="none", label_smoothing=0.2
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", KINDS)
def test_a_sample_is_read_twice_in_training_alone(name):
    kind, settings = KINDS[name]

    def passed(dropout, consistency, training=True):
        options = {"consistency": consistency, "label_smoothing": 0.1, "dropout": dropout}
        model = learner(kind, **settings, **options).train(training)
        batch = batch_of(model, SAMPLES)
        output = model(batch)["write"]
        loss = model.total_loss(batch, {"write": output["smoothed"]})
        loss.backward()
        return output, loss, [parameter.grad for parameter in model.parameters()]

    # without dropout both passes are the same, and so is all that comes of them
    torch.testing.assert_close(passed(0.0, 5.0)[1:], passed(0.0, 0.0)[1:])
    assert passed(0.5, 5.0, training=False)[1] == passed(0.5, 0.0, training=False)[1]
    # with dropout they differ: less agreement is a larger loss, of the same two passes
    little, much = passed(0.5, 1e-9)[0], passed(0.5, 1e3)[0]
    torch.testing.assert_close(little["losses"], much["losses"])
    assert (much["smoothed"] > little["smoothed"]).all()


def test_a_target_may_be_numbers():
    torch.manual_seed(0)
    task = SequenceToSequence(["text"], "image")
    config = TransformerConfig(dim=DIM, depth=1, num_heads=2, kind="encoder-decoder")
    model = Learner(config, {"text": Letters, "image": Triples}, {"draw": task})
    model.build_components()
    batch = batch_of(model.eval(), [{"text": "ab", "image": triples(4)}])
    output = model(batch)
    assert output["draw"]["losses"].shape == (4,)
    told = task.predict(output["draw"], batch.task_batches["draw"], dict(model.tokenizers))
    assert told == [{"loss": pytest.approx(output["draw"]["losses"].mean().item())}]


@pytest.mark.parametrize("name", KINDS)
def test_a_batch_without_samples_reaches_every_parameter(name):
    kind, settings = KINDS[name]
    others = {"label": Classification(["text"], "label", [0, 1])}
    model = learner(kind, others, **settings)
    batch = batch_of(model, [])
    loss = model.total_loss(batch, model._losses(batch, model(batch)))
    loss.backward()
    assert loss.item() == 0
    assert not [name for name, p in model.named_parameters() if p.grad is None]


@pytest.mark.parametrize("name", KINDS)
def test_tasks_without_a_memory_share_a_core_and_a_batch_with_it(name):
    kind, settings = KINDS[name]
    others = {
        "label": Classification(["text", "image"], "label", [0, 1]),
        "more": Classification(["text"], "label", [0, 1]),
        "next": NextToken(["text"]),
    }
    model = learner(kind, others, **settings)
    samples = [*SAMPLES, {"text": "ho", "label": 1}, {"image": triples(3), "label": 0}]
    batch = batch_of(model, samples)
    assert [task_batch.num_samples for task_batch in batch.task_batches.values()] == [3, 2, 1, 3]
    together = model(batch)
    for task in model.tasks:
        alone = learner(kind, others, **settings)
        alone.load_state_dict(model.state_dict())
        for other in set(model.tasks) - {task}:
            del alone.tasks[other]
        found = alone(batch_of(alone, [s for s in samples if model.tasks[task].accepts(s)]))
        torch.testing.assert_close(found[task], together[task])


def test_predictions_are_the_loss_of_what_the_sample_brings_and_nothing_else():
    model = learner()
    told = model.predict([SAMPLES[0], {"text": "hello"}])
    mean = losses_of(model, SAMPLES[:1])[0].mean().item()
    expected = {"loss": pytest.approx(mean), "perplexity": pytest.approx(math.exp(mean))}
    assert told == [
        {"index": 0, "task": "write", **expected},
        {"index": 1, "task": "write", "loss": None},
    ]


def test_figures_count_tokens():
    model = learner()
    batch = batch_of(model, SAMPLES)
    task, task_batch, output = (
        model.tasks["write"],
        batch.task_batches["write"],
        model(batch)["write"],
    )
    metrics = task.metrics()
    task.update_metrics(metrics, output, task_batch, dict(model.tokenizers), [0, 2])
    found = metrics.compute()
    losses = output["losses"].split(task_batch.sequence.lengths)
    hits = output["hits"].split(task_batch.sequence.lengths)
    mean = torch.cat([losses[0], losses[2]]).mean().item()
    assert found["loss"] == pytest.approx(mean)
    assert found["perplexity"] == pytest.approx(math.exp(mean))
    assert found["accuracy"] == pytest.approx(torch.cat([hits[0], hits[2]]).float().mean().item())
    bits = torch.cat([losses[0], losses[2]]).sum().item() / math.log(2)
    assert found["bits_per_byte"] == pytest.approx(bits / (4 + 5))
    assert task.metrics().compute() == {}


def test_a_target_that_was_cut_has_no_end_and_no_bits_per_byte():
    torch.manual_seed(0)
    task = SequenceToSequence(["text"], "target", "text")
    model = Learner(
        TransformerConfig(dim=DIM, depth=1, num_heads=2, kind="encoder-decoder"),
        {"text": partial(Bytes, max_tokens=5, truncate=True)},
        {"write": task},
    )
    model.build_components()
    samples = [{"text": "ab", "target": "c" * length} for length in (3, 5, 50)]
    batch = batch_of(model.eval(), samples)
    task_batch, output = batch.task_batches["write"], model(batch)["write"]
    assert task_batch.sequence.lengths == (4, 5, 5)
    assert task_batch.sequence.values.tolist()[3] == model.tokenizers["text"].end_id
    metrics = task.metrics()
    task.update_metrics(metrics, output, task_batch, dict(model.tokenizers), range(3))
    bits = output["losses"][:4].sum().item() / math.log(2)
    assert metrics.compute()["bits_per_byte"] == pytest.approx(bits / 3)


def test_a_target_with_more_tokens_than_positions_is_named():
    model = learner(target_positions=TargetPositions(4))
    batch_of(model, [{"text": "a", "target": "abc"}])
    with pytest.raises(UserError, match="sample 0: target 'target': 5 tokens, expected at most 4"):
        batch_of(model, [{"text": "a", "target": "abcd"}])


def test_what_does_not_fit_is_said():
    with pytest.raises(UserError, match="'decoder' cannot read a memory"):
        losses_of(learner("decoder"), SAMPLES)
    with pytest.raises(UserError, match="image: Triples has no start token"):
        task = SequenceToSequence(["text"], "image", start="tokenizer")
        config = TransformerConfig(dim=DIM, depth=1, num_heads=2, kind="encoder-decoder")
        model = Learner(config, {"text": Letters, "image": Triples}, {"draw": task})
        model.build_components()
        model(batch_of(model, [{"text": "ab", "image": triples(4)}]))
    with pytest.raises(UserError, match="label_smoothing must be at least 0"):
        SequenceToSequence(["text"], "target", label_smoothing=1.0)
    with pytest.raises(UserError, match="consistency must be a number of at least 0, found -1"):
        SequenceToSequence(["text"], "target", consistency=-1.0)
    with pytest.raises(UserError, match=r"expected consistency: 0 .*, found vectors of Triples"):
        task = SequenceToSequence(["text"], "image", consistency=1.0)
        config = TransformerConfig(dim=DIM, depth=1, num_heads=2, kind="encoder-decoder")
        model = Learner(config, {"text": Letters, "image": Triples}, {"draw": task})
        model.build_components()
        model.train()(batch_of(model, [{"text": "ab", "image": triples(4)}]))
    with pytest.raises(UserError, match="column 'target' needs a tokenizer, expected model"):
        Learner(
            TransformerConfig(dim=DIM, depth=1, num_heads=2),
            {"text": Letters},
            {"write": SequenceToSequence(["text"], "target")},
        )


@pytest.mark.slow
def test_it_learns_to_write_numbers_from_behind(tmp_path):
    torch.manual_seed(0)
    made = Learner(
        TransformerConfig(dim=48, depth=1, num_heads=2, kind="encoder-decoder"),
        {"text": partial(Plain, position_embedding="learned", max_tokens=8)},
        {
            "flip": SequenceToSequence(
                ["text"], "flipped", "text", generate=Generation(max_tokens=6), metrics=["cer"]
            )
        },
        optimizer=partial(torch.optim.AdamW, lr=5e-3),
    )
    trainer = make_trainer(tmp_path, max_epochs=12)
    data = DataModule({"flipped": Flipped()}, tokens_per_batch=100, num_workers=0)
    trainer.fit(made, datamodule=data)
    found = made.results["validation"]["flip"]["all"]
    assert found["accuracy"] > 0.9
    assert "cer" not in found  # a test alone takes the time to write
    trainer.test(made, datamodule=data)
    [found] = [made.results[split]["flip"]["all"] for split in data.test_splits]
    assert found["cer"] < 0.2
    told = made.generate([{"text": "123"}], max_tokens=6)
    assert told[0]["text"] == "321"
