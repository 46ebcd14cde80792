"""Stories and Sentences: questions about sentences that are a token each."""

import zipfile

import pytest
import torch
from folders import SHARED
from unitf_text import Sentences, Stories

from unitf import UserError
from unitf.data import Split
from unitf.testing import check_tokenizer

DATA = SHARED / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="shared data not available")
FILE = (
    "1 Mary went home.\n2 Where is Mary?\thome\t1\n3 Bob left.\n4 Who left? \tBob\t3\n"
    "1 Ann ran.\n2 Who ran?\tAnn\t1\n"
)


def write(root, text=FILE):
    (root / "set").mkdir(exist_ok=True)
    (root / "set" / "qa1_easy_train.txt").write_bytes(text.encode())
    with zipfile.ZipFile(root / "set.zip", "w") as archive:
        archive.write(root / "set" / "qa1_easy_train.txt", "en/qa1_easy_train.txt")


@pytest.mark.parametrize(
    "path",
    ["set/qa{task}_*.txt", "set.zip/en/qa{task}_*_train.txt", "set.zip/**/qa{task}_{kind}_*.txt"],
)
def test_a_question_comes_with_the_story_so_far(tmp_path, path):
    write(tmp_path)
    samples = Stories(path).read("train", tmp_path)
    assert [(s["question"], s["answer"], len(s["story"])) for s in samples] == [
        ("Where is Mary?", "home", 1),
        ("Who left?", "Bob", 2),
        ("Who ran?", "Ann", 1),
    ]
    assert samples[1]["story"] == ["Mary went home.", "Bob left."]
    assert {s["task"] for s in samples} == {"1"}


def test_a_line_ends_at_its_line_end_only(tmp_path):
    write(tmp_path, "1 Mary\u2028went\x85 home.\r\n2 Where\x0c is Mary?\thome\t1\r\n")
    (sample,) = Stories("set/*.txt").read("train", tmp_path)
    assert sample["story"] == ["Mary\u2028went\x85 home."]
    assert sample["question"] == "Where\x0c is Mary?"


def test_one_file_is_read_too_and_can_be_split(tmp_path):
    write(tmp_path)
    source = Stories("set/qa1_easy_train.txt", split=Split({"validation": 0.34}))
    assert [len(source.read(s, tmp_path)) for s in ("train", "validation")] == [2, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Mary went home.\n", "line 1: expected a number and a sentence or question"),
        ("1 Mary went.\n2 Who?\t\t1\n", "line 2: expected a number"),
        ("1 Who?\tMary\t1\n", "line 1: a question before any sentence"),
    ],
)
def test_a_line_of_another_kind_is_named(tmp_path, text, message):
    write(tmp_path, text)
    with pytest.raises(UserError, match=message):
        Stories("set/*.txt").read("train", tmp_path)


def fitted(dim=16, **options):
    tokenizer = Sentences(dim, **options)
    tokenizer.fit(Sentences.examples())
    tokenizer.build()
    return tokenizer


def test_sentences_keep_what_a_tokenizer_promises():
    check_tokenizer(lambda dim: Sentences(dim), Sentences.examples())


def test_the_order_of_words_and_of_sentences_matters():
    tokenizer = fitted()
    a, b = "Mary went to the kitchen", "the kitchen went to Mary"
    columns = [tokenizer(tokenizer.encode(value)).matrix for value in (a, b, [a, b], [b, a])]
    assert not torch.allclose(columns[0], columns[1], atol=1e-3)
    assert not torch.allclose(columns[2], columns[3].flip(1), atol=1e-3)
    assert torch.equal(columns[2][:, 1:], columns[1])  # the last stands where one alone does


def test_the_last_sentences_are_read():
    tokenizer = fitted(max_tokens=2)
    story = ["yes", "Mary went to the kitchen", "Where is the milk?"]
    assert torch.equal(tokenizer.encode(story).values, tokenizer.encode(story[1:]).values)
    assert tokenizer.encode(story).positions.tolist() == [[1, 0]]


def test_gaps_move_sentences_apart_in_training_only():
    tokenizer = fitted(gaps=0.5)
    story = ["yes"] * 50
    assert tokenizer.encode(story).positions.tolist() == [list(range(49, -1, -1))]
    moved = tokenizer.encode(story, train=True).positions[0]
    assert (moved.diff() <= -1).all()
    assert 60 < moved[0] < 90


def test_a_longer_sentence_than_those_of_training_is_an_error():
    tokenizer = fitted()
    with pytest.raises(UserError, match="words, expected 1 to 6"):
        tokenizer.encode("one two three four five six seven eight")


@needs_data
def test_babi_is_read_whole():
    path = {part: f"babi/babi_en.zip/en/qa{{task}}_*_{part}.txt" for part in ("train", "test")}
    source = Stories(path)
    for part in path:
        samples = source.read(part, DATA)
        assert len(samples) == 20_000
        assert {s["task"] for s in samples} == {str(n) for n in range(1, 21)}
