"""`unitf generate` and `unitf chat`: what a checkpoint writes, and one line for a mistake."""

import io
import json
from functools import partial

import pytest
import torch
from unitf_audio import WaveformFrames
from unitf_text import Bytes

from unitf import Learner, Model, TransformerConfig, UserError, load
from unitf.cli import main
from unitf.tasks import Classification, NextToken, SequenceToSequence

TEXT = partial(Bytes, max_tokens=40)
MODELS = {
    "language model": ("decoder", {"write": NextToken(["text"])}, {"text": TEXT}),
    "writer": (
        "encoder-decoder",
        {"write": SequenceToSequence(["text", "sound"], "answer", "text")},
        {"text": TEXT, "sound": WaveformFrames},
    ),
    "classifier": ("encoder", {"label": Classification(["text"], "label", [0, 1])}, {"text": TEXT}),
}


@pytest.fixture(params=["language model"])
def checkpoint(request, tmp_path):
    torch.manual_seed(0)
    kind, tasks, tokenizers = MODELS[request.param]
    tasks = {n: type(t)(**t.configuration()["init_args"]) for n, t in tasks.items()}
    core = TransformerConfig(dim=16, depth=1, num_heads=2, kind=kind)
    learner = Learner(core, tokenizers, tasks)
    for tokenizer in learner.tokenizers.values():
        tokenizer.fit(tokenizer.examples())
    learner.build_components()
    state = {"state_dict": learner.state_dict()}
    learner.on_save_checkpoint(state)
    torch.save(state, tmp_path / "model.ckpt")
    return str(tmp_path / "model.ckpt")


def run(capsys, *words):
    status = main([*map(str, words)])
    return status, capsys.readouterr()


def test_a_language_model_goes_on_with_one_prompt_and_with_many(checkpoint, tmp_path, capsys):
    command = ["generate", "--checkpoint", checkpoint, "--max-tokens", 9]
    expected = [o["text"] for o in load(checkpoint).generate(PROMPTS, max_tokens=9)]
    for prompt, text in zip(PROMPTS, expected, strict=True):
        assert run(capsys, *command, "--text", prompt["text"])[1].out == f"{text}\n"
    (tmp_path / "lines.txt").write_text("To be\nor")
    many = run(capsys, *command, "--prompts", tmp_path / "lines.txt", "--json")[1].out
    assert [one["text"] for one in json.loads(many)] == expected
    assert all(len(one["log_probabilities"]) == len(one["tokens"]) for one in json.loads(many))
    streamed = run(capsys, *command, "--text", "To be", "--stream")[1].out
    assert streamed == f"{expected[0]}\n"
    assert run(capsys, *command)[0] == 0  # with nothing to go on from
    drawn = [run(capsys, *command, "--temperature", 1, "--seed", s)[1].out for s in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    told = run(capsys, *command, "--text", "To be", "--answers", "yes", "no", "--num-beams", 2)
    assert told[1].out.strip() in ("yes", "no")


PROMPTS = [{"text": "To be"}, {"text": "or"}]


def test_a_chat_answers_line_by_line_and_remembers(checkpoint, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\nand then\n" + "more words to say\n" * 3))
    command = ["chat", "--checkpoint", checkpoint, "--max-tokens", 4]
    status, told = run(capsys, *command)
    assert status == 0
    first = "".join(p["text"] for p in load(checkpoint).stream({"text": "hello\n"}, max_tokens=4))
    assert told.out.startswith(first.split("\n")[0])


def test_a_chat_goes_on_after_a_line_that_it_cannot_answer(checkpoint, capsys, monkeypatch):
    stream, calls = Model.stream, []

    def once(self, *arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise UserError("nothing to go on from")
        return stream(self, *arguments)

    monkeypatch.setattr(Model, "stream", once)
    monkeypatch.setattr("sys.stdin", io.StringIO("bad\nhello\n"))
    status, told = run(capsys, "chat", "--checkpoint", checkpoint, "--max-tokens", 4)
    assert (status, told.err) == (0, "unitf: nothing to go on from\n")
    assert calls[1][0] == {"text": "hello\n"}


def test_what_a_chat_cannot_read_is_one_line(checkpoint, capsys, monkeypatch):
    said = io.TextIOWrapper(io.BytesIO(b"hello\n\xff\xfe\n"), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", said)
    status, told = run(capsys, "chat", "--checkpoint", checkpoint, "--max-tokens", 4)
    assert status == 2
    assert told.err == "unitf: error: chat: expected utf-8 text, found byte 0xff\n"


def test_a_digit_that_is_no_number_is_a_text(checkpoint, capsys):
    command = ["generate", "--checkpoint", checkpoint, "--max-tokens", 4, "--json"]
    [one] = json.loads(run(capsys, *command, "--begin", "²", "--stop", "²")[1].out)
    assert one["text"].startswith("²")


def test_a_text_that_is_the_name_of_a_folder_is_a_text(checkpoint, capsys):
    command = ["generate", "--checkpoint", checkpoint, "--max-tokens", 4, "--json"]
    told = run(capsys, *command, "--input", "text=.", "text=")[1].out
    assert [one["sample"] for one in json.loads(told)] == [{"text": "."}, {"text": ""}]


@pytest.mark.parametrize(
    ("checkpoint", "words", "message"),
    [
        ("language model", ["--text", "x" * 50], "text of 50 tokens, expected at most 40"),
        ("language model", ["--text", "x" * 40], "a prompt of 41 tokens leaves no room"),
        ("language model", ["--image", "a.png"], "unknown '--image'; this model reads text"),
        ("language model", ["--prompts", "none.txt"], "--prompts none.txt: there is no such file"),
        ("language model", ["--num-returns", "2"], "num_returns: expected at most num_beams 1"),
        ("language model", ["--text", "a", "--batch-size", "0"], "batch_size: expected 1 or more"),
        ("writer", ["--input", "sound="], "nothing to read: expected an input of text, sound"),
        ("writer", [], "nothing to read: expected an input of text, sound"),
        ("writer", ["--text", ""], "nothing to read: expected an input of text, sound"),
        ("writer", ["--sound", "none.wav"], "none.wav"),
        ("classifier", ["--text", "a"], "cannot generate: its tasks are label (Classification)"),
    ],
    indirect=["checkpoint"],
)
def test_a_mistake_is_one_line(checkpoint, words, message, capsys):
    status, told = run(capsys, "generate", "--checkpoint", checkpoint, *words)
    assert status == 2
    assert message in told.err and len(told.err.splitlines()) == 1
