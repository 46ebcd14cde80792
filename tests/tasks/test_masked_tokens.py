"""MaskedTokens: what is hidden, what is predicted of it, and that nothing else is seen."""

import pytest
import torch
from task_toys import DIM, Triples, triples
from torch.nn import functional
from unitf_text import Characters, TokenIds

from unitf import Learner, TransformerConfig, UserError
from unitf.checkpoints.folder import save_folder
from unitf.data import Encoder
from unitf.data.encoder import Item
from unitf.interop.exchange import as_checkpoint
from unitf.loading import load
from unitf.tasks import Head, MaskedTokens

MASK = 3


def ids(dim=DIM, **options):
    settings = {"start_id": 1, "end_id": 2, "mask_id": MASK, "add_start": True, "add_end": True}
    return TokenIds(dim, 60, **{**settings, **options})


def learner(task, **core):
    torch.manual_seed(0)
    made = Learner(
        TransformerConfig(**{"dim": DIM, "depth": 2, "num_heads": 2, **core}),
        {"text": ids, "image": Triples},
        {"masked": task},
    )
    made.build_components()
    return made.eval()


def used(model):
    return dict(model.tokenizers.items())


def batch_of(model, samples, train=False, epoch=0, labelled=True):
    encoder = Encoder(model.tokenizers, model.tasks, labelled)
    return encoder([Item(s, str(n), n, epoch, train) for n, s in enumerate(samples)])


def view_of(model, samples, **options):
    return batch_of(model, samples, **options).task_batches["masked"]


TEXTS = [{"text": list(range(4, 24))}, {"text": [40, 41, 42]}, {"text": [50]}]


def test_a_share_of_each_text_is_hidden_at_least_one_token_and_none_that_was_added():
    model = learner(MaskedTokens(["text"], mask_ratio=0.25))
    batch = view_of(model, TEXTS, train=True)
    hidden = batch.target["text"]["hidden"].split(batch.features["text"].lengths)
    assert [int(h.sum()) for h in hidden] == [5, 1, 1]
    assert not any(h[0] or h[-1] for h in hidden)
    shown = batch.target["text"]["shown"]
    same = ~batch.target["text"]["hidden"]
    assert torch.equal(shown[same], batch.features["text"].values[same])


def test_of_hidden_ids_most_are_masked_some_are_random_some_are_kept():
    model = learner(MaskedTokens(["text"], mask_ratio=0.5, random=0.2, kept=0.3))
    texts = [{"text": [4 + (7 * i + n) % 50 for n in range(50)]} for i in range(60)]
    batch = view_of(model, texts, train=True)
    choice = batch.target["text"]
    shown = choice["shown"][choice["hidden"]]
    truth = batch.features["text"].values[choice["hidden"]]
    masked = (shown == MASK).float().mean().item()
    kept = (shown == truth).float().mean().item()
    assert len(shown) == 60 * 25
    assert masked == pytest.approx(0.5, abs=0.05)
    assert kept == pytest.approx(0.3 + 0.2 / 60, abs=0.05)
    everything = learner(MaskedTokens(["text"], random=0.0, kept=0.0))
    choice = view_of(everything, texts, train=True).target["text"]
    assert (choice["shown"][choice["hidden"]] == MASK).all()


def test_the_choice_depends_on_sample_and_epoch_in_training_and_on_nothing_else_after_it():
    model = learner(MaskedTokens(["text"]))
    hidden = [
        view_of(model, TEXTS, train=train, epoch=epoch).target["text"]["hidden"]
        for train, epoch in [(True, 0), (True, 0), (True, 1), (False, 0), (False, 1)]
    ]
    assert torch.equal(hidden[0], hidden[1])
    assert not torch.equal(hidden[0], hidden[2])
    assert torch.equal(hidden[3], hidden[4])


def test_the_loss_is_the_cross_entropy_of_the_hidden_ids_alone():
    model = learner(MaskedTokens(["text"], head=Head(hidden="gelu", norm_eps=1e-5)))
    batch = batch_of(model, TEXTS)
    task_batch, task, text = (
        batch.task_batches["masked"],
        model.tasks["masked"],
        model.tokenizers["text"],
    )
    losses = task.losses(model(batch)["masked"], task_batch, used(model))
    choice = task_batch.target["text"]
    shown = type(task_batch.features["text"])(
        choice["shown"], lengths=task_batch.features["text"].lengths
    )
    rows = model.core(text(shown)).rows[choice["hidden"]]
    logits = task.head.norm(functional.gelu(task.head.hidden(rows))) @ text.embedding.weight.mT
    truth = task_batch.features["text"].values[choice["hidden"]]
    torch.testing.assert_close(losses, functional.cross_entropy(logits, truth, reduction="none"))


def test_hidden_numbers_are_not_seen_and_their_error_is_measured():
    model = learner(MaskedTokens(["image"], mask_ratio=0.5))
    values = torch.tensor(triples(6))
    batch = view_of(model, [{"image": values.tolist()}])
    hidden = batch.target["image"]["hidden"]
    assert int(hidden.sum()) == 3
    columns = model.core(model.tasks["masked"].embed(batch, used(model))[0])
    [guess] = model.tasks["masked"].outputs(columns, batch, used(model)).values()
    torch.testing.assert_close(guess.losses, (guess.predicted - values[:, hidden]).square().mean(0))
    shown = batch.target["image"]["shown"]
    assert (shown[hidden] == 0).all()
    assert torch.equal(shown[~hidden], batch.features["image"].rows[~hidden])
    # the places of hidden tokens are known, their contents are the learned vector
    tokens = model.tasks["masked"].embed(batch, used(model))[0].rows
    places = model.tokenizers["image"].position_embedding(batch.features["image"].positions)
    vector = model.tasks["masked"].vectors["image"]
    torch.testing.assert_close(tokens[hidden], vector + places[hidden])


def test_hidden_tokens_lie_together_where_blocks_are_asked_for():
    model = learner(MaskedTokens(["image"], mask_ratio=0.5, block=4))
    single = learner(MaskedTokens(["image"], mask_ratio=0.5))
    edges = []
    for one in (model, single):
        batch = view_of(one, [{"image": triples(200)}] * 4, train=True)
        hidden = batch.target["image"]["hidden"].view(4, 200)
        assert hidden.sum(1).tolist() == [100] * 4
        assert not torch.equal(hidden[0], hidden[1])
        edges.append((hidden[:, 1:] != hidden[:, :-1]).sum().item() / 4)
    assert edges[0] <= 200 / 4 + 1  # a boundary needs a new block
    assert edges[1] > 80


def test_normalised_numbers_to_predict_have_mean_0_and_deviation_1_in_each_token():
    model = learner(MaskedTokens(["image"], mask_ratio=0.5, normalise=True))
    values = torch.tensor(triples(6)) * 3 + 7
    batch = view_of(model, [{"image": values.tolist()}])
    columns = model.core(model.tasks["masked"].embed(batch, used(model))[0])
    [guess] = model.tasks["masked"].outputs(columns, batch, used(model)).values()
    truth = values[:, batch.target["image"]["hidden"]]
    truth = (truth - truth.mean(0)) / truth.std(0, correction=0)
    expected = (guess.predicted - truth).square().mean(0)
    torch.testing.assert_close(guess.losses, expected, atol=1e-3, rtol=1e-3)


def test_inputs_are_predicted_together_and_every_parameter_takes_part_without_samples():
    model = learner(MaskedTokens({"caption": "text", "image": "image"})).train()
    samples = [{"caption": [4, 5, 6], "image": triples(4)}, {"image": triples(2)}]
    for some in (samples, samples[1:], []):
        batch = batch_of(model, some, train=True)
        losses = model.tasks["masked"].losses(
            model(batch)["masked"], batch.task_batches["masked"], used(model)
        )
        assert len(losses) == sum(1 for s in some for _ in s)
        model.zero_grad()
        losses.sum().backward()
        assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_figures_are_accuracy_and_nats_of_ids_and_the_error_of_numbers():
    model = learner(MaskedTokens({"caption": "text", "image": "image"}))
    batch = batch_of(model, [{"caption": TEXTS[0]["text"]}, {"image": triples(4)}])
    task_batch, task = batch.task_batches["masked"], model.tasks["masked"]
    output, metrics = model(batch)["masked"], task.metrics()
    task.update_metrics(metrics, output, task_batch, used(model), [0, 1])
    found = metrics.compute()
    guess = output["caption"]
    hits = guess.predicted.argmax(0) == task_batch.features["caption"].values[guess.indices]
    assert found["accuracy"] == pytest.approx(hits.float().mean().item())
    assert found["nats_per_token"] == pytest.approx(guess.losses.mean().item())
    assert found["mse"] == pytest.approx(output["image"].losses.mean().item())
    metrics = task.metrics()
    task.update_metrics(metrics, output, task_batch, used(model), [1])
    assert set(metrics.compute()) == {"mse", "num_samples"}


def test_a_prediction_fills_the_masks_and_names_what_is_likely():
    model = learner(MaskedTokens(["text"]))
    with torch.no_grad():  # columns that are nearest to the table's own row for id 9
        model.tokenizers["text"].embedding.weight[9] *= 50
        model.core.encoder.final_norm.weight.zero_()
        model.core.encoder.final_norm.bias.copy_(model.tokenizers["text"].embedding.weight[9])
    first, second = model.predict([{"text": [4, MASK, 5, MASK]}, {"text": [7, 8]}])
    assert first["filled"] == [4, 9, 5, 9]
    assert [mask["position"] for mask in first["masks"]] == [2, 4]  # the start token is at 0
    assert first["masks"][0]["tokens"][0]["token"] == "[9]"
    assert len(first["masks"][0]["tokens"]) == 5
    assert (second["filled"], second["masks"]) == ([7, 8], [])
    [numbers] = learner(MaskedTokens(["image"])).predict([{"image": triples(4)}])
    assert numbers["mse"] > 0


def test_a_saved_model_predicts_the_same(tmp_path):
    model = learner(MaskedTokens({"caption": "text", "image": "image"}))
    again = load(save_folder(as_checkpoint(model), tmp_path / "model"))
    sample = {"caption": [4, MASK, 6], "image": triples(4)}
    assert again.predict([sample]) == model.predict([sample])


def test_what_cannot_be_is_said():
    with pytest.raises(UserError, match="mask_ratio must be above 0 and below 1"):
        MaskedTokens(["text"], mask_ratio=1.0)
    with pytest.raises(UserError, match=r"random 0\.6 and kept 0\.5 must be at least 0"):
        MaskedTokens(["text"], random=0.6, kept=0.5)
    with pytest.raises(UserError, match="block must be 1 or more, found 0"):
        MaskedTokens(["text"], block=0)
    torch.manual_seed(0)
    model = Learner(
        TransformerConfig(dim=DIM, depth=1, num_heads=2),
        {"text": lambda dim: ids(dim, mask_id=None)},
        {"masked": MaskedTokens(["text"])},
    )
    model.build_components()
    with pytest.raises(UserError, match="TokenIds has no mask token"):
        batch_of(model, TEXTS)


def test_characters_too_are_hidden_and_filled_as_text():
    characters = Characters(DIM)
    characters.fit(["abcd"])
    torch.manual_seed(0)
    model = Learner(
        TransformerConfig(dim=DIM, depth=1, num_heads=2),
        {"text": lambda dim: characters},
        {"masked": MaskedTokens(["text"])},
    )
    model.build_components()
    assert model.eval().predict([{"text": "abba"}])[0]["filled"] == "abba"


def test_what_fills_a_text_up_is_not_hidden():
    model = learner(MaskedTokens(["text"], mask_ratio=0.5))
    model.tokenizers["text"] = ids(max_tokens=40, padding_id=0)
    batch = view_of(model, [{"text": [7, 8, 9, 10]}], train=True)
    hidden = batch.target["text"]["hidden"]
    assert len(hidden) == 40 and int(hidden.sum()) == 2 and int(hidden[1:5].sum()) == 2
