"""Transcription: torch's CTC loss, what the best symbols write, error rates of the text."""

import pytest
import torch
from task_toys import DIM, SAMPLES, figures, random_tokens, read, ready, tokenizers, view_of
from torch.nn import functional

from unitf.batch import TaskBatch
from unitf.core import Transformer, TransformerConfig
from unitf.errors import UserError
from unitf.tasks.transcription import Reading, Transcription

TEXTS = [{"text": text, "written": text[::2]} for text in ("abcdefgh", "aabb", "hgfedcbaab", "b")]

NOTHING = TaskBatch({}, None, (), ())


def columns_of(symbols, texts):
    """Logits that write given symbols, one a column; "" is the blank."""
    numbers = [symbols.index(symbol) for text in texts for symbol in text]
    logits = 10 * functional.one_hot(torch.tensor(numbers), len(symbols)).float()
    return Reading(logits, tuple(map(len, texts)))


def test_the_loss_is_that_of_torch_for_each_text_by_itself():
    task, made = ready(Transcription(["text"], "written"), TEXTS), tokenizers()
    batch, output = read(task, TEXTS, made)
    losses = task.losses(output, batch, made)
    parts = output.logits.split(list(output.lengths))
    for sample, part, loss in zip(TEXTS, parts, losses, strict=True):
        target = task.encode_target(sample)
        expected = functional.ctc_loss(
            part.log_softmax(1)[:, None], target[None], [len(part)], [len(target)]
        )
        torch.testing.assert_close(loss, expected)


def test_a_text_too_long_for_its_sequence_costs_nothing_and_hurts_nothing():
    samples = [{"text": "ab", "written": "abcabc"}, *TEXTS]
    task, made = ready(Transcription(["text"], "written"), samples), tokenizers()
    batch, output = read(task, samples, made)
    losses = task.losses(output, batch, made)
    assert losses[0] == 0 and bool((losses[1:] > 0).all())
    losses.sum().backward()
    assert bool(task.head.weight.grad.isfinite().all())


def test_repeated_symbols_count_once_unless_nothing_stands_between_them():
    symbols = ["", "a", "b", " "]
    task = Transcription(["text"], "written", symbols)
    output = columns_of(symbols, [["a", "a", "", "a", "b"], [" ", "b", " ", "", " ", "a"], [""]])
    assert task.write(output) == ["aab", "b  a", ""]
    assert task.predict(output, NOTHING, {})[0] == {"text": "aab"}


def test_the_blank_may_be_any_symbol_that_writes_nothing():
    symbols = ["a", "", "b", ""]
    task = ready(Transcription(["text"], "written", symbols, blank=3), TEXTS)
    assert task.encode_target({"written": "ab"}).tolist() == [0, 2]
    assert task.symbols == symbols and task.head.out_features == 4
    fitted = Transcription(["text"], "written", blank=2)
    fitted.fit([{"written": "cab"}])
    assert fitted.symbols == ["a", "b", "", "c"]


def test_letters_are_known_in_either_case():
    task = Transcription(["text"], "written", ["", "A", "b", "B"])
    assert task.encode_target({"written": "aAbB"}).tolist() == [1, 1, 2, 3]


def test_error_rates_are_edits_per_character_and_per_word():
    symbols = ["", *"abcdefgh "]
    samples = [{"text": "x", "written": "ab cd"}, {"text": "y", "written": "efg"}]
    task, made = ready(Transcription(["text"], "written", symbols), samples), tokenizers()
    batch = view_of(task, samples, made)
    output = columns_of(symbols, [list("ab c"), list("efh")])
    found = figures(task, batch, output, made)
    assert found["cer"] == pytest.approx(2 / 8) and found["wer"] == pytest.approx(2 / 3)
    assert figures(task, batch, output, made, [0])["cer"] == pytest.approx(1 / 5)
    assert figures(task, batch, output, made, []) == {}


def test_sequences_without_columns_and_views_without_samples_have_finite_gradients():
    samples = [{"text": "", "written": "a"}, {"text": "", "written": ""}]
    task, made = ready(Transcription(["text"], "written"), TEXTS), tokenizers()
    for chosen in (samples, [*samples, *TEXTS], []):
        batch, output = read(task, chosen, made)
        losses = task.losses(output, batch, made)
        assert losses.shape == (len(chosen),) and bool(losses.isfinite().all())
        task.zero_grad()
        losses.sum().backward()
        assert bool(task.head.weight.grad.isfinite().all())
        written = task.predict(output, batch, made)
        assert written[:2] == [{"text": ""}] * 2 if chosen else not written


def test_it_learns_to_write_every_other_letter():
    torch.manual_seed(0)
    task, made = ready(Transcription(["text"], "written"), TEXTS), tokenizers()
    core = Transformer(TransformerConfig(dim=DIM, depth=1, num_heads=2))
    optimizer = torch.optim.Adam(
        [*core.parameters(), *task.parameters(), *made["text"].parameters()], lr=0.02
    )
    for _ in range(120):
        batch, output = read(task, TEXTS, made, core)
        loss = task.losses(output, batch, made).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    batch, output = read(task, TEXTS, made, core)
    assert figures(task, batch, output, made)["cer"] < 0.1


def test_logits_are_a_row_for_every_column():
    task = ready(Transcription(["text"], "written"), TEXTS)
    columns = random_tokens((3, 5))
    assert torch.equal(task.logits(columns, NOTHING, {}), task.head(columns.rows))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Transcription(["text"], "written", ["a", "b"]), "blank 0: expected"),
        (lambda: Transcription(["text"], "written", ["", "b"], blank=2), "blank 2: expected"),
        (lambda: Transcription(["text"], "written", blank=-1), "blank -1: expected 0 or more"),
        (
            lambda: Transcription(["text"], "written", blank=3).fit([{"written": "ab"}]),
            "blank 3: expected at most 2, the number of characters",
        ),
        (lambda: Transcription(["text"], "label").symbols, "not known before fit"),
        (lambda: Transcription(["text"], "written").fit([]), "found no character"),
        (lambda: Transcription(["text"], "value").fit(SAMPLES), "expected a text, found float"),
        (
            lambda: Transcription(["text"], "t", ["", "a"]).encode_target({"t": "ab"}),
            "unknown character 'b'; known: a",
        ),
    ],
)
def test_a_mistake_is_one_clear_line(make, message):
    with pytest.raises(UserError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_white_space_around_a_target_is_neither_learned_nor_an_error():
    task, made = Transcription(["text"], "written"), tokenizers()
    samples = [{"text": "x", "written": " ab\n"}]
    task.fit(samples)
    assert task.symbols == ["", "a", "b"]
    task.build(dim=DIM)
    batch = view_of(task, samples, made)
    assert figures(task, batch, columns_of(task.symbols, [list("ab")]), made)["cer"] == 0
