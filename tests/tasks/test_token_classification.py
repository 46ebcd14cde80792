"""TokenClassification: which token a label belongs to, its loss and figures by hand."""

import pytest
import torch
from task_toys import DIM, Letters, Triples, triples
from torch.nn import functional
from unitf_text import Characters, Subwords, TokenIds, Words

from unitf import Learner, TransformerConfig, UserError
from unitf.checkpoints.folder import save_folder
from unitf.data import Encoder
from unitf.interop.exchange import as_checkpoint
from unitf.loading import load
from unitf.tasks import Head, TokenClassification

TEXT = "Anna lives in New York"
LABELS = ["PER", "O", "O", "LOC", "LOC"]
SAMPLE = {"text": TEXT, "labels": LABELS}
FRAME = {"add_start": True, "add_end": True}


def fitted(cls, *texts, **options):
    tokenizer = cls(DIM, **options)
    tokenizer.fit(texts or [TEXT])
    return tokenizer


def learner(tokenizer, task, samples=(SAMPLE,)):
    torch.manual_seed(0)
    task.fit(samples)
    model = Learner(
        TransformerConfig(dim=DIM, depth=1, num_heads=2),
        {"text": lambda dim: tokenizer},
        {"task": task},
    )
    model.build_components()
    return model.eval()


def used(model):
    return dict(model.tokenizers.items())


def batch_of(model, samples, labelled=True):
    encoder = Encoder(model.tokenizers, model.tasks, labelled)
    return encoder([encoder.item(number, sample) for number, sample in enumerate(samples)])


def target_of(tokenizer, sample, **options):
    """The label of each token; None where there is none."""
    task = TokenClassification(["text"], "labels", ["LOC", "O", "PER"], **options)
    model = learner(tokenizer, task)
    target = batch_of(model, [sample]).task_batches["task"].target.tolist()
    return [None if number == -100 else task.classes[number] for number in target]


def test_words_have_their_labels_and_added_tokens_none():
    assert target_of(fitted(Words, **FRAME), SAMPLE) == [None, *LABELS, None]
    labels = "PER O O LOC LOC"
    assert target_of(fitted(Words), {"text": TEXT, "labels": labels}) == LABELS


def test_the_first_piece_of_a_word_has_its_label_or_every_piece():
    tokenizer = fitted(Characters, **FRAME)
    sample = {"text": "New  York!", "labels": ["LOC", "O"]}
    first = target_of(tokenizer, sample)
    assert first == [None, "LOC", *[None] * 4, "O", *[None] * 4, None]
    every = target_of(tokenizer, sample, every_piece=True)
    assert every == [None, *["LOC"] * 3, None, None, *["O"] * 5, None]


@pytest.mark.parametrize("algorithm", ["bpe", "wordpiece", "unigram"])
def test_learned_pieces_know_their_words(algorithm):
    tokenizer = fitted(Subwords, TEXT, algorithm=algorithm, vocabulary_size=40, **FRAME)
    labels = target_of(tokenizer, SAMPLE)
    assert [label for label in labels if label] == LABELS
    spans = tokenizer.spans(TEXT)
    starts = [TEXT[a:b].strip() for a, b in spans.ranges[1:].T.tolist()]
    words = ["Anna", "lives", "in", "New", "York"]
    marked = [piece for piece, label in zip(starts, labels, strict=True) if label]
    assert all(word.startswith(piece) for word, piece in zip(words, marked, strict=True))


def test_a_list_of_words_is_a_text():
    tokenizer = fitted(Words, words=True, **FRAME)
    labels = ["PER", None, "O", -100, "LOC"]
    found = target_of(tokenizer, {"text": TEXT.split(), "labels": labels})
    assert found == [None, "PER", None, "O", None, "LOC", None]


def test_labels_may_be_one_for_each_token():
    ids = TokenIds(DIM, 10, start_id=1, end_id=2, **FRAME)
    assert target_of(ids, {"text": [4, 5], "labels": "O LOC"}) == [None, "O", "LOC", None]
    text = {"text": "ab c", "labels": ["O", "LOC", "O", "PER"]}
    assert target_of(fitted(Characters, "ab c"), text) == ["O", "LOC", "O", "PER"]
    assert target_of(Letters(DIM), {"text": "ab", "labels": ["O", "PER"]}) == ["O", "PER"]
    image = {"text": triples(3), "labels": ["O", "LOC", "PER"]}
    assert target_of(Triples(DIM), image) == ["O", "LOC", "PER"]


def test_a_truncated_text_keeps_the_labels_of_what_is_left():
    tokenizer = fitted(Words, max_tokens=4, truncate=True, **FRAME)
    assert target_of(tokenizer, SAMPLE) == [None, "PER", "O", None]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["PER"], "1 labels for 5 words or 5 tokens"),
        (["PER", "O", "O", "LOC", "LOK"], "unknown class 'LOK'; did you mean 'LOC'"),
        (3, "expected a list of labels, found int '3'"),
    ],
)
def test_labels_that_do_not_fit_are_said(labels, message):
    with pytest.raises(UserError, match=message):
        target_of(fitted(Words), {"text": TEXT, "labels": labels})


def test_a_text_that_is_cut_otherwise_in_training_is_refused():
    tokenizer = fitted(Subwords, TEXT * 9, algorithm="bpe", vocabulary_size=60, dropout=0.9)
    model = learner(tokenizer, TokenClassification(["text"], "labels"))
    encoder = Encoder(model.tokenizers, model.tasks)
    with pytest.raises(UserError, match="need the same tokens in training, found"):
        encoder([encoder.item(0, SAMPLE)._replace(train=True)])


def test_the_classes_are_those_of_the_training_samples_without_missing_ones():
    samples = [SAMPLE, {"text": "x", "labels": [None]}, {"text": "y"}, {"labels": ["Z"]}]
    model = learner(fitted(Words), TokenClassification(["text"], "labels"), samples)
    assert model.tasks["task"].classes == ["LOC", "O", "PER"]


def test_loss_and_figures_are_those_of_labelled_tokens():
    model = learner(fitted(Words, **FRAME), TokenClassification(["text"], "labels"))
    samples = [SAMPLE, {"text": "in York", "labels": [None, "LOC"]}]
    batch = batch_of(model, samples)
    task, task_batch, output = model.tasks["task"], batch.task_batches["task"], model(batch)["task"]
    rows = model.core(model.tokenizers["text"](task_batch.features["text"])).rows
    logits = task.head.linear(rows)[[1, 2, 3, 4, 5, 9]]
    truth = torch.tensor([2, 1, 1, 0, 0, 0])
    losses = task.losses(output, task_batch, used(model))
    torch.testing.assert_close(losses, functional.cross_entropy(logits, truth, reduction="none"))
    metrics = task.metrics()
    task.update_metrics(metrics, output, task_batch, used(model), [0, 1])
    found = metrics.compute()
    guess = logits.argmax(1)
    f1 = []
    for label in {*truth.tolist(), *guess.tolist()}:
        hits = ((guess == label) & (truth == label)).sum().item()
        f1.append(2 * hits / ((guess == label).sum() + (truth == label).sum()).item())
    assert found["accuracy"] == pytest.approx((guess == truth).float().mean().item())
    assert found["f1"] == pytest.approx(sum(f1) / len(f1))
    metrics = task.metrics()
    task.update_metrics(metrics, output, task_batch, used(model), [1])
    assert metrics.compute()["num_samples"] == 1


def scores(true, predicted, **options):
    """The figures of entities of a task, for texts whose tokens have these tags."""
    classes = sorted({tag for tags in [*true, *predicted] for tag in tags})
    task = TokenClassification(["text"], "tags", classes, **options)
    metrics = task.metrics()
    numbers = [classes.index(tag) for tags in predicted for tag in tags]
    target = torch.tensor([classes.index(tag) for tags in true for tag in tags])
    output = functional.one_hot(torch.tensor(numbers), len(classes)).float()
    sequence = torch.tensor([n for n, tags in enumerate(true) for _ in tags])
    metrics.update(output, target, sequence=sequence)
    return {k: v.item() for k, v in metrics.compute().items() if k.startswith("entity")}


def test_entities_count_as_in_the_examples_of_seqeval():
    true = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    found = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    figures = scores(true, found)
    assert figures["entity_f1"] == figures["entity_macro_f1"] == 0.5
    assert (figures["entity_precision_PER"], figures["entity_recall_MISC"]) == (1, 0)
    assert scores([["B-NP", "I-NP", "O"]], [["I-NP", "I-NP", "O"]])["entity_f1"] == 1
    bioes = scores([["B-A", "I-A", "E-A", "S-A"]], [["B-A", "I-A", "I-A", "S-A"]])
    assert bioes["entity_f1"] == 1  # S- ends what stands before it
    assert scores([["B-A", "B-A"]], [["B-A", "I-A"]])["entity_f1"] == 0


def test_entities_are_scored_where_the_classes_are_their_tags(caplog):
    assert scores([["B-A", "O"]], [["O", "O"]])["entity_f1"] == 0
    assert not scores([["B-A", "O"]], [["O", "O"]], entities=False)
    assert not scores([["B-A", "O"]], [["O", "NOUN"]])
    model = learner(
        fitted(Words),
        task := TokenClassification(["text"], "labels"),
        [sample := {**SAMPLE, "labels": ["B-PER", "O", "O", "B-LOC", "I-LOC"]}],
    )
    assert "tags of spans, which entity_f1 scores (entities)" in caplog.text
    batch, metrics = batch_of(model, [sample, sample]), task.metrics()
    part = batch.task_batches["task"]
    output = functional.one_hot(part.target, task.num_classes).float() * 99
    task.update_metrics(metrics, output, part, used(model), [0, 1])
    assert metrics.compute()["entity_f1"] == 1
    assert metrics["entities"].counts.tolist() == [[2, 2]] * 3


def test_one_number_says_which_of_two_classes():
    task = TokenClassification(["text"], "labels", [False, True], single_logit=True)
    model = learner(fitted(Words), task)
    batch = batch_of(model, [{"text": "Anna lives", "labels": [True, False]}])
    output = model(batch)["task"]
    losses = task.losses(output, batch.task_batches["task"], used(model))
    rows = model.core(model.tokenizers["text"](batch.task_batches["task"].features["text"])).rows
    task_batch = batch.task_batches["task"]
    columns = model.core(model.tokenizers["text"](task_batch.features["text"]))
    one = task.logits(columns, task_batch, used(model))[:, 0]
    assert rows.shape[0] == len(one) == 2
    truth = torch.tensor([1.0, 0.0])
    expected = functional.binary_cross_entropy_with_logits(one, truth, reduction="none")
    torch.testing.assert_close(losses, expected)
    with pytest.raises(UserError, match="single_logit: expected two classes"):
        TokenClassification(["text"], "labels", single_logit=True)


def test_a_prediction_names_the_tokens_as_they_stand_in_the_text(tmp_path):
    head = Head(hidden="gelu", norm_eps=1e-5)
    model = learner(fitted(Words, **FRAME), TokenClassification(["text"], "labels", head=head))
    [prediction] = model.predict([{"text": "Anna  lives"}])
    assert [token["token"] for token in prediction["tokens"]] == ["Anna", "lives"]
    batch = batch_of(model, [{"text": "Anna  lives"}], labelled=False)
    sure, places = model(batch)["task"].softmax(1).max(1)
    classes = model.tasks["task"].classes
    for token, p, place in zip(prediction["tokens"], sure[1:], places[1:], strict=False):
        assert token["label"] == classes[place]
        assert token["probability"] == pytest.approx(p.item(), rel=1e-4)
    again = load(save_folder(as_checkpoint(model), tmp_path / "model"))
    assert again.predict([SAMPLE]) == model.predict([SAMPLE])
    numbered = learner(Letters(DIM), TokenClassification(["text"], "labels"))
    assert [t["token"] for t in numbered.predict([{"text": "ab"}])[0]["tokens"]] == [0, 1]


def test_what_fills_a_text_up_has_no_label():
    filled = fitted(Words, max_tokens=len(LABELS) + 3, padding_id=0)
    assert target_of(filled, SAMPLE) == [*LABELS, None, None, None]
