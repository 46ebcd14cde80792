"""SquadFiles: every question with its paragraph, and answers that are where they are said to be."""

import json

import pytest
from folders import SHARED
from unitf_text import SquadFiles

from unitf import UserError
from unitf.data import Split

DATA = SHARED / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="shared data not available")
ASKED = [
    {"question": "Who ran?", "id": "1", "answers": [{"text": "Ann", "answer_start": 0}]},
    {"question": "Who sat?", "id": "2", "answers": [], "is_impossible": True},
]
ARTICLE = {"title": "Ann", "paragraphs": [{"context": "Ann ran.", "qas": ASKED}]}


def test_questions_come_with_their_paragraph(tmp_path):
    (tmp_path / "set.json").write_text(json.dumps({"data": [ARTICLE, ARTICLE]}))
    split = Split({"test": "1"}, column="article")
    source = SquadFiles("set.json", split=split)
    one, none = source.read("test", tmp_path)
    assert one["pair"] == ["Who ran?", "Ann ran."]
    assert one["answer"] == {"text": ["Ann"], "answer_start": [0]}
    assert none["answer"] == {"text": [], "answer_start": []}
    assert {sample["article"] for sample in source.read("train", tmp_path)} == {0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "not in the layout of SQuAD"),
        ('{"data": [{}]}', r"not in the layout of SQuAD \(KeyError\('paragraphs'\)\)"),
        ("{", "not JSON"),
    ],
)
def test_what_is_no_squad_is_one_line(tmp_path, text, message):
    (tmp_path / "set.json").write_text(text)
    with pytest.raises(UserError, match=message):
        SquadFiles("set.json").read("train", tmp_path)


@needs_data
def test_xquad_is_read_whole():
    samples = SquadFiles("xquad/xquad.en.json").read("train", DATA)
    assert len(samples) == 1_190
    assert {sample["article"] for sample in samples} == set(range(48))
    for sample in samples:
        for text, start in zip(*sample["answer"].values(), strict=True):
            assert sample["context"][start : start + len(text)] == text
