"""SpanAnswer: from characters to columns and back, its loss and SQuAD's figures."""

import json

import pytest
import torch
from folders import SHARED
from task_toys import DIM, Letters
from torch.nn import functional
from unitf_text import Bytes, Characters, Subwords, TokenIds, Words

from unitf import Learner, TransformerConfig, UserError
from unitf.checkpoints.folder import save_folder
from unitf.data import Encoder
from unitf.interop.exchange import as_checkpoint
from unitf.loading import load
from unitf.tasks import SpanAnswer
from unitf.tokenizer.token_embedding import Prefix

QUESTION, CONTEXT = "Who lives in York?", "Anna lives in Rome. Bert, an Ærø man, lives in York."
PAIR = {"text": [QUESTION, CONTEXT], "answer": "Bert, an Ærø man"}
TWO = {"question": QUESTION, "context": CONTEXT, "answer": "Bert, an Ærø man"}
FRAME = {"add_start": True, "add_end": True}


def fitted(cls, **options):
    tokenizer = cls(DIM, **{**FRAME, "num_segments": 2, **options})
    tokenizer.fit([QUESTION, CONTEXT])
    return tokenizer


def learner(tokenizer, task=None):
    torch.manual_seed(0)
    task = task or SpanAnswer(["text"], "answer")
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


def sure_of(places, lengths):
    """What a model reads that is certain of these places."""
    output = torch.full((len(places), max(lengths), 2), -50.0)
    for row, (first, last) in zip(output, places, strict=True):
        row[first, 0] = row[last, 1] = 0.0
    return output


def back_and_forth(model, samples):
    """What is predicted where the model is certain of the targets."""
    batch = batch_of(model, samples).task_batches["task"]
    output = sure_of(batch.target["token_range"].tolist(), [200 for _ in samples])
    return model.tasks["task"].predict(output, batch, used(model)), batch, output


@pytest.mark.parametrize(
    "tokenizer",
    [
        fitted(Characters),
        fitted(Bytes),
        fitted(Words),
        fitted(Subwords, algorithm="wordpiece", vocabulary_size=60),
        fitted(Subwords, algorithm="bpe", vocabulary_size=60, num_segments=0, pair_separators=2),
        fitted(Characters, prefix=Prefix(3)),
    ],
    ids=["characters", "bytes", "words", "wordpiece", "double separator", "prefix"],
)
@pytest.mark.parametrize("answer", ["Bert, an Ærø man", "Anna", "York"])
def test_the_place_of_an_answer_is_that_answer(tokenizer, answer):
    [said], batch, _ = back_and_forth(learner(tokenizer), [{**PAIR, "answer": answer}])
    assert said["answer"].strip() == answer
    assert CONTEXT[said["begin"] : said["end"]] == said["answer"]
    assert said["probability"] == pytest.approx(1.0)
    assert batch.target["texts"] == [[answer]]


def test_the_context_may_be_an_input_of_its_own():
    tokenizer = fitted(Words, num_segments=0, prefix=Prefix(2))
    task = SpanAnswer({"question": "text", "context": "text"}, "answer")
    model = learner(tokenizer, task)
    [said], batch, _ = back_and_forth(model, [TWO])
    assert said["answer"] == TWO["answer"]
    # 2 + start who lives in york ? end, 2 + start anna lives in rome .
    assert batch.target["token_range"][0, 0] == 9 + 2 + 6
    assert not task.accepts({"question": QUESTION, "answer": "Anna"})


@pytest.mark.parametrize(
    ("answer", "begin"),
    [
        ("lives", 5),
        ({"text": "lives", "answer_start": 38}, 38),
        ({"text": ["lives", "man"], "answer_start": [38, 33]}, 38),
        ('{"text": [" lives"], "answer_start": [37]}', 38),
        ({"text": ["LIVES"], "answer_start": [5]}, 5),
    ],
)
def test_an_answer_is_a_text_or_a_text_and_its_place(answer, begin):
    [said], *_ = back_and_forth(learner(fitted(Words)), [{**PAIR, "answer": answer}])
    assert said["begin"] == begin


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({**PAIR, "answer": "Paris"}, "'Paris' is not in the context"),
        ({**PAIR, "answer": {"text": ["Anna"], "answer_start": [4]}}, "'Anna' is not in the"),
        ({**PAIR, "answer": {"text": ["Anna"], "answer_start": [1, 2]}}, "expected a text, or"),
        ({**PAIR, "answer": 3}, "expected a text, or text and answer_start, found '3'"),
        ({"text": "alone", "answer": "alone"}, "expected a pair .question, context., found one"),
    ],
)
def test_answers_that_are_none_are_said(sample, message):
    with pytest.raises(UserError, match=message):
        batch_of(learner(fitted(Words)), [sample])


def test_tokens_that_know_no_text_are_refused():
    with pytest.raises(UserError, match="SpanAnswer needs tokens that know their offsets"):
        batch_of(learner(Letters(DIM)), [{"text": "ab", "answer": "a"}])
    with pytest.raises(UserError, match="one input or two, found 3"):
        SpanAnswer(["a", "b", "c"], "answer")


def test_ids_are_answered_by_their_own_text():
    tokenizer = TokenIds(DIM, 60, start_id=1, end_id=2, num_segments=2, **FRAME)
    [said], *_ = back_and_forth(learner(tokenizer), [{"text": [[5], [7, 8, 9]], "answer": "8 9"}])
    assert said["answer"] == "8 9"


def test_what_was_cut_off_is_not_learned_and_no_answer_is_the_first_column():
    tokenizer = fitted(Words, max_tokens=12, truncate=True)
    model = learner(tokenizer)
    samples = [PAIR, {**PAIR, "answer": ""}, {**PAIR, "answer": "Anna"}]
    samples[1]["answer"] = {"text": [], "answer_start": []}
    batch = batch_of(model, samples)
    task_batch = batch.task_batches["task"]
    assert task_batch.target["token_range"].tolist() == [[-1, -1], [0, 0], [6, 6]]
    losses = model.tasks["task"].losses(model(batch)["task"], task_batch, used(model))
    assert len(losses) == 2


def test_the_loss_is_the_mean_cross_entropy_of_both_ends():
    model = learner(fitted(Words))
    batch = batch_of(model, [PAIR, {**PAIR, "text": ["Who?", CONTEXT]}])
    task_batch, task = batch.task_batches["task"], model.tasks["task"]
    columns = model.core(model.tokenizers["text"](task_batch.features["text"]))
    losses = task.losses(model(batch)["task"], task_batch, used(model))
    for number, part in enumerate(columns.split()):
        logits = task.head.linear(part.rows)
        place = task_batch.target["token_range"][number]
        expected = functional.cross_entropy(logits.mT, place)
        torch.testing.assert_close(losses[number], expected)
    losses.sum().backward()
    model.zero_grad()
    batch = batch_of(model, [])
    task.losses(model(batch)["task"], batch.task_batches["task"], used(model)).sum().backward()
    assert all(p.grad is not None for p in task.parameters())


def test_an_answer_does_not_end_before_it_begins_and_is_no_longer_than_allowed():
    task = SpanAnswer(["text"], "answer", longest=3)
    model = learner(fitted(Words), task)
    batch = batch_of(model, [PAIR]).task_batches["task"]
    own = batch.sample_infos[0].columns
    output = torch.full((1, 40, 2), -9.0)
    output[0, own[5], 0] = output[0, own[2], 1] = output[0, own[9], 1] = -1.0
    output[0, own[6], 1] = -3.0
    output[0, 1, 0] = output[0, 1, 1] = 0.0  # the question is no answer
    [said] = task.predict(output, batch, used(model))
    assert said["answer"] == "Bert,"
    assert said["probability"] == pytest.approx(torch.tensor(-4.0).exp().item())


def test_no_answer_is_an_answer_only_where_it_may_be():
    for unanswerable in (True, False):
        task = SpanAnswer(["text"], "answer", unanswerable=unanswerable)
        model = learner(fitted(Words), task)
        batch = batch_of(model, [PAIR], labelled=False).task_batches["task"]
        [said] = task.predict(sure_of([(0, 0)], [40]), batch, used(model))
        assert (said["answer"] == "") == unanswerable


def test_figures_are_those_of_squad():
    model = learner(fitted(Words))
    task = model.tasks["task"]
    samples = [
        PAIR,
        {**PAIR, "answer": {"text": ["in York", "York"], "answer_start": [44, 47]}},
        {**PAIR, "answer": "Anna lives in Rome"},
    ]
    _, batch, output = back_and_forth(model, samples)
    output[2] = sure_of([(batch.target["token_range"][2, 0] + 3,) * 2], [200])[0]  # "Rome" alone
    metrics = task.metrics()
    task.update_metrics(metrics, output, batch, used(model), [0, 1, 2])
    found = metrics.compute()
    f1 = 2 * 1 * 0.25 / 1.25  # all of what is said, a quarter of what is true
    assert found["exact_match"] == pytest.approx(200 / 3)
    assert found["f1"] == pytest.approx(100 * (1 + 1 + f1) / 3)
    assert found["num_samples"] == 3
    metrics = task.metrics()
    task.update_metrics(metrics, output, batch, used(model), [0])
    assert metrics.compute()["f1"] == pytest.approx(100)


def test_a_saved_model_predicts_the_same_without_a_target(tmp_path):
    model = learner(fitted(Words))
    again = load(save_folder(as_checkpoint(model), tmp_path / "model"))
    [said] = model.predict([{"text": [QUESTION, CONTEXT]}])
    assert said["answer"] in CONTEXT
    assert again.predict([PAIR]) == model.predict([{"text": [QUESTION, CONTEXT]}])


@pytest.mark.skipif(not (SHARED / "data/xquad").is_dir(), reason="shared data not available")
def test_the_answers_of_xquad_come_back():
    articles = json.loads((SHARED / "data/xquad/xquad.en.json").read_text())["data"]
    samples = [
        {"text": [q["question"], p["context"]], "answer": _squad(q["answers"])}
        for article in articles[:3]
        for p in article["paragraphs"][:2]
        for q in p["qas"][:3]
    ]
    tokenizer = Subwords(DIM, algorithm="wordpiece", vocabulary_size=500, num_segments=2, **FRAME)
    tokenizer.fit([text for sample in samples for text in sample["text"]])
    model = learner(tokenizer)
    batch = batch_of(model, samples).task_batches["task"]
    output = sure_of(batch.target["token_range"].tolist(), batch.features["text"].lengths)
    said = model.tasks["task"].predict(output, batch, used(model))
    for one, sample in zip(said, samples, strict=True):
        assert one["answer"] == sample["answer"]["text"][0]


def _squad(answers):
    return {name: [answer[name] for answer in answers] for name in ("text", "answer_start")}


def test_an_answer_has_no_white_space_around_it():
    tokenizer = fitted(Subwords, byte_level=True, vocabulary_size=300)
    model = learner(tokenizer)
    answer, begin = "lives", CONTEXT.index("lives")
    batch = batch_of(model, [{"text": [QUESTION, CONTEXT], "answer": answer}])
    task_batch = batch.task_batches["task"]
    spans, place = (
        tokenizer.spans([QUESTION, CONTEXT]).ranges,
        task_batch.target["token_range"][0].tolist(),
    )
    assert CONTEXT[spans[1, place[0]]] == " "  # the token brings it
    [found] = model.tasks["task"].predict(
        sure_of([place], [spans.shape[1]]), task_batch, used(model)
    )
    assert (found["answer"], found["begin"], found["end"]) == (answer, begin, begin + 5)


def test_places_are_those_of_the_text_as_it_was_written():
    context = "In İzmir lives Ada Lovelace today"
    tokenizer = Characters(DIM, lowercase=True, num_segments=2, **FRAME)
    tokenizer.fit([QUESTION, context])
    model = learner(tokenizer)
    sample = {"text": ["who?", context], "answer": "Ada Lovelace"}
    batch = batch_of(model, [sample]).task_batches["task"]
    first, last = batch.target["token_range"][0].tolist()
    output = sure_of([(first, last)], batch.features["text"].lengths)
    (told,) = model.tasks["task"].predict(output, batch, used(model))
    assert told["answer"] == "Ada Lovelace"
    assert context[told["begin"] : told["end"]] == "Ada Lovelace"
