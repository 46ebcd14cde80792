"""NextToken: each token from those before it, in every modality, and its figures by hand."""

import math

import pytest
import torch
from task_toys import (
    DIM,
    SAMPLES,
    Letters,
    arranged,
    figures,
    read,
    ready,
    tokenizers,
    triples,
    view_of,
)
from torch.nn import functional
from unitf_text import Bytes

from unitf import Tokens, UserError
from unitf.core import Transformer, TransformerConfig
from unitf.tasks import NextToken
from unitf.tokenizer.token_embedding import Prefix

TEXTS = [{"text": "hello"}, {"text": ""}, {"text": "naïve"}, {"text": "a"}]


def core(**settings):
    torch.manual_seed(0)
    return Transformer(TransformerConfig(dim=DIM, depth=2, num_heads=2, **settings)).eval()


def losses_of(task, samples, made, model):
    """The losses of each sample's tokens, by column."""
    batch, output = read(task, samples, made, model)
    return {c: losses.split(batch.features[c].lengths) for c, losses in output.items()}


def test_each_token_is_predicted_from_the_column_before_it():
    task, made = ready(NextToken(["text"])), tokenizers()
    _, output = read(task, TEXTS, made)  # no core: columns are the tokens themselves
    expected = []
    for sample in TEXTS:
        features = made["text"].encode(sample["text"])
        columns = torch.cat([task.start.column, made["text"](features).matrix], 1)[:, :-1]
        logits = columns.mT @ made["text"].embedding.weight.mT
        expected.append(functional.cross_entropy(logits, features.values, reduction="none"))
    torch.testing.assert_close(output["text"], torch.cat(expected))


def test_the_tokens_of_several_inputs_are_predicted_each_by_its_tokenizer():
    task, made = ready(NextToken(["text", "image"])), tokenizers()
    sample = SAMPLES[2]
    _, output = read(task, [SAMPLES[0], sample, SAMPLES[1]], made)
    text = made["text"](made["text"].encode(sample["text"])).matrix
    features = made["image"].encode(sample["image"])
    columns = torch.cat([text[:, -1:], made["image"](features).matrix], 1)[:, :-1]
    guess = made["image"].unembedding(columns.mT).mT
    expected = (guess - features.values).square().mean(0)
    torch.testing.assert_close(output["image"][:2], expected)
    assert output["text"].shape == (5 + 2,)
    assert output["image"].shape == (2 + 4,)


def test_the_tokenizers_need_their_way_back():
    assert NextToken({"premise": "text", "picture": "image"}).unembeds == {"text", "image"}


@pytest.mark.parametrize("positions", ["none", "rotary", "alibi"])
def test_no_loss_depends_on_its_own_token_or_a_later_one(positions):
    task, made, model = ready(NextToken(["text"])), tokenizers(), core(relative_positions=positions)
    before = losses_of(task, [{"text": "abcdefgh"}, {"text": "xyz"}], made, model)["text"]
    for place in range(8):
        changed = "abcdefgh"[:place] + "q" + "abcdefgh"[place + 1 :]
        batch = view_of(task, [{"text": changed}], made)
        after = losses_of(task, [{"text": changed}, {"text": "xyz"}], made, model)["text"]
        assert batch.num_tokens == 8
        torch.testing.assert_close(after[0][:place], before[0][:place])
        torch.testing.assert_close(after[1], before[1])
        assert not torch.isclose(after[0][place:], before[0][place:]).all()


def test_no_loss_of_numbers_depends_on_its_own_token_or_a_later_one():
    task, made, model = ready(NextToken(["image"])), tokenizers(), core()
    values = triples(6)
    before = losses_of(task, [{"image": values}], made, model)["image"][0]
    values[0][3] += 1.0
    after = losses_of(task, [{"image": values}], made, model)["image"][0]
    torch.testing.assert_close(after[:3], before[:3])
    assert (after[3:] != before[3:]).all()


def test_a_sample_has_the_same_losses_alone_and_in_a_mixed_batch():
    task, made, model = ready(NextToken(["text", "image"])), tokenizers(), core()
    together = losses_of(task, SAMPLES, made, model)
    for number, sample in enumerate(SAMPLES):
        alone = losses_of(task, [sample], made, model)
        for column, losses in alone.items():
            torch.testing.assert_close(together[column][number], losses[0])


def test_perplexity_is_the_exponential_of_the_mean_loss():
    task, made, model = ready(NextToken(["text"])), tokenizers(), core()
    batch, output = read(task, TEXTS, made, model)
    mean = output["text"].mean().item()
    found = figures(task, batch, output, made)
    assert found["nats_per_token"] == pytest.approx(mean)
    assert found["loss"] == pytest.approx(mean)
    assert found["perplexity"] == pytest.approx(math.exp(mean))
    assert found["num_samples"] == 4
    assert "mse" not in found


def test_bits_per_byte_count_the_bytes_of_the_raw_text():
    task, made, model = ready(NextToken(["text"])), tokenizers(), core()
    batch, output = read(task, TEXTS, made, model)
    num_bytes = len("hello") + len("naïve".encode()) + len("a")
    bits = output["text"].sum().item() / math.log(2)
    found = figures(task, batch, output, made)
    assert num_bytes == 12
    assert found["bits_per_byte"] == pytest.approx(bits / num_bytes)


def test_a_text_that_was_cut_has_no_bits_per_byte():
    task, model = ready(NextToken(["text"])), core()
    made = {"text": Bytes(DIM, max_tokens=4, truncate=True)}
    made["text"].build()
    samples = [{"text": text} for text in ("hello", "four", "a")]
    batch, output = read(task, samples, made, model)
    assert batch.features["text"].lengths == (4, 4, 1)
    bits = output["text"][-1].item() / math.log(2)
    assert figures(task, batch, output, made)["bits_per_byte"] == pytest.approx(bits)


def test_figures_add_up_over_batches_and_choose_samples():
    task, made, model = ready(NextToken(["text"])), tokenizers(), core()
    batch, output = read(task, TEXTS, made, model)
    metrics = task.metrics()
    for numbers in ([0], [1, 3]):
        task.update_metrics(metrics, output, batch, made, numbers)
    losses = output["text"].split(batch.features["text"].lengths)
    expected = torch.cat([losses[0], losses[3]])
    found = metrics.compute()
    assert found["nats_per_token"] == pytest.approx(expected.mean().item())
    assert found["bits_per_byte"] == pytest.approx(expected.sum().item() / math.log(2) / 6)


def test_numbers_are_measured_by_their_squared_error():
    task, made, model = ready(NextToken(["image"])), tokenizers(), core()
    samples = [{"image": triples(4)}, {"image": triples(2, seed=1)}]
    batch, output = read(task, samples, made, model)
    found = figures(task, batch, output, made)
    assert found["mse"] == pytest.approx(output["image"].mean().item())
    assert found["loss"] == pytest.approx(output["image"].mean().item())
    assert not {"perplexity", "bits_per_byte"} & set(found)


def test_bytes_that_are_no_ids_are_no_text():
    task, made = ready(NextToken(["image"])), tokenizers()
    sample = {"image": torch.tensor(triples(2)).numpy()}
    batch, output = read(task, [sample], made)
    batch = view_of(task, [sample], made)
    batch.target.fill_(10)
    assert "bits_per_byte" not in figures(task, batch, output, made)


def test_a_batch_without_samples_has_no_loss_and_a_gradient():
    task, made, model = ready(NextToken(["text", "image"])), tokenizers(), core()
    batch, output = read(task, [], made, model)
    losses = task.losses(output, batch, made)
    assert losses.shape == (0,)
    losses.sum().backward()
    assert task.start.column.grad.abs().sum() == 0
    assert figures(task, batch, output, made) == {}
    assert task.metrics().compute() == {}
    assert task.predict(output, batch, made) == []


def test_the_start_token_learns():
    task, made, model = ready(NextToken(["text"])), tokenizers(), core()
    batch, output = read(task, TEXTS, made, model)
    task.losses(output, batch, made).mean().backward()
    assert task.start.column.grad.abs().sum() > 0


def test_predictions_are_the_mean_loss_and_perplexity_of_each_sample():
    task, made, model = ready(NextToken(["text", "image"])), tokenizers(), core()
    batch, output = read(task, [*TEXTS, SAMPLES[1]], made, model)
    told = task.predict(output, batch, made)
    losses = output["text"].split(batch.features["text"].lengths)
    assert told[0]["loss"] == pytest.approx(losses[0].mean().item())
    assert told[0]["perplexity"] == pytest.approx(math.exp(losses[0].mean().item()))
    assert told[1] == {"loss": None}
    assert told[4] == {"loss": pytest.approx(output["image"].mean().item())}


def test_a_fresh_task_is_restored_from_a_state():
    task, made, model = ready(NextToken(["text"])), tokenizers(), core()
    fresh = NextToken(["text"])
    fresh.load_state_dict(task.state_dict())
    assert torch.equal(
        read(fresh.eval(), TEXTS, made, model)[1]["text"],
        read(task, TEXTS, made, model)[1]["text"],
    )


def test_a_small_model_learns_a_text_by_heart():
    torch.manual_seed(0)
    task, made, model = ready(NextToken(["text"])), tokenizers(), core()
    sample = [{"text": "abacadabra"}]
    modules = torch.nn.ModuleList([task, *made.values(), model])
    optimizer = torch.optim.Adam(modules.parameters(), lr=0.01)
    for _ in range(75):
        batch, output = read(task, sample, made, model)
        optimizer.zero_grad()
        task.losses(output, batch, made).mean().backward()
        optimizer.step()
    assert figures(task, batch, output, made)["perplexity"] < 1.1


# ---- without a start token ---------------------------------------------------------------


def without_start(inputs=("text",)):
    return ready(NextToken(list(inputs), start=False))


def test_without_a_start_token_the_first_token_is_read_but_not_predicted():
    task, made = without_start(), tokenizers()
    _, output = read(task, TEXTS, made)
    assert not list(task.parameters())
    expected = []
    for sample in TEXTS:
        features = made["text"].encode(sample["text"])
        logits = made["text"](features).rows[:-1] @ made["text"].embedding.weight.mT
        expected.append(functional.cross_entropy(logits, features.values[1:], reduction="none"))
    torch.testing.assert_close(output["text"], torch.cat(expected))
    assert output["text"].shape == (4 + 0 + 4 + 0,)


def test_the_first_token_of_a_second_input_is_predicted_from_the_first_input():
    task, made, model = without_start(("text", "image")), tokenizers(), core()
    _, output = read(task, SAMPLES, made, model)
    assert output["text"].shape == (4 + 1 + 4,)
    assert output["image"].shape == (3 + 2,)  # alone, its first token is the first of all
    sample = SAMPLES[2]
    alone = losses_of_one(task, sample, made, model)
    text = made["text"](made["text"].encode(sample["text"]))
    features = made["image"].encode(sample["image"])
    columns = model(Tokens.concat([text, made["image"](features)]), causal=True)
    guess = made["image"].unembed(columns.matrix[:, 1:-1])
    torch.testing.assert_close(alone["image"], (guess - features.values).square().mean(0))


def losses_of_one(task, sample, made, model):
    return read(task, [sample], made, model)[1]


def test_a_prefix_stands_before_the_first_token():
    task, made = without_start(), {"text": Letters(DIM, "none", prefix=Prefix(2))}
    made["text"].build(unembed=True)
    _, output = read(task, TEXTS, made)
    features = made["text"].encode("hello")
    logits = made["text"].unembed(made["text"](features).matrix[:, 1:-1]).mT
    expected = functional.cross_entropy(logits, features.values, reduction="none")
    torch.testing.assert_close(output["text"][:5], expected)


def test_figures_without_a_start_token_are_those_of_the_predicted_tokens():
    task, made, model = without_start(), tokenizers(), core()
    batch, output = read(task, TEXTS, made, model)
    mean = output["text"].mean().item()
    told = task.predict(output, batch, made)
    assert told[0]["loss"] == pytest.approx(output["text"][:4].mean().item())
    assert told[2]["perplexity"] == pytest.approx(math.exp(output["text"][4:].mean().item()))
    assert told[1] == told[3] == {"loss": None}
    found = figures(task, batch, output, made)
    assert found["nats_per_token"] == pytest.approx(mean)
    assert found["perplexity"] == pytest.approx(math.exp(mean))
    chosen = figures(task, batch, output, made, [2, 3])
    assert chosen["nats_per_token"] == pytest.approx(output["text"][4:].mean().item())
    torch.testing.assert_close(task.losses(output, batch, made), output["text"])


def test_bits_per_byte_leave_out_the_bytes_that_nobody_predicted():
    class Syllables(Letters):
        """Two letters a token."""

        def encode(self, value, train=False):
            return super().encode(value[::2])

        def decode(self, features):
            assert features.values.shape == (1,)
            return "hé"

    task, made = without_start(), {"text": Syllables(DIM)}
    made["text"].build(unembed=True)
    samples = [{"text": "hélène"}, {"text": "hé"}]
    batch, output = read(task, samples, made)
    bits = output["text"].sum().item() / math.log(2)
    assert output["text"].shape == (2,)
    num_bytes = len("lène".encode())
    assert figures(task, batch, output, made)["bits_per_byte"] == pytest.approx(bits / num_bytes)


def test_a_text_whose_first_token_nobody_can_read_has_no_bits_per_byte():
    task, made, model = without_start(), tokenizers(), core()  # these letters have no way back
    batch, output = read(task, TEXTS, made, model)
    assert "bits_per_byte" not in figures(task, batch, output, made)


def test_logits_are_those_of_every_column():
    made, model = tokenizers(), core()
    for task, more in ((without_start(), 0), (ready(NextToken(["text"])), 1)):
        batch = view_of(task, TEXTS, made)
        columns = model(arranged(task, batch, made), causal=True)
        logits = task.logits(columns, batch, made)
        assert logits.shape == (11 + 4 * more, 27)
        torch.testing.assert_close(logits, columns.rows @ made["text"].embedding.weight.mT)
    with pytest.raises(UserError, match="one input, found text, image"):
        NextToken(["text", "image"]).logits(columns, batch, made)
