"""ComposedRecords: one sentence of what several records say of the same thing."""

import json

import pytest
from folders import SHARED

from unitf import UserError
from unitf.data import ComposedRecords

DATA = SHARED / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="shared data not available")
FIELDS = {"colour": ["red", "blue"], "shape": ["circle", "square"]}
LISTED = [
    ["is it red?", "yes", 1],
    ["what shape?", "circle", 1],
    ["what colour?", "red", 1],
    ["what colour?", "blue", 2],
]


def make(path="list.json", sentence="a {colour} {shape}", **options):
    columns = {"question": 0, "answer": 1, "number": 2}
    options = {"by": "number", "answer": "answer", "fields": FIELDS} | options
    return ComposedRecords(path, columns, sentence=sentence, **options)


def test_what_is_known_whole_becomes_a_sentence(tmp_path):
    (tmp_path / "list.json").write_text(json.dumps(LISTED))
    (sample,) = make().read("train", tmp_path)
    assert sample["caption"] == "a red circle"
    assert sample["number"] == 1
    assert "answer" not in sample
    assert [s["caption"] for s in make(sentence="{colour}").read("train", tmp_path)] == ["red"]
    fields = {"colour": FIELDS["colour"]}
    both = make(sentence="it is {colour}", fields=fields).read("train", tmp_path)
    assert [s["caption"] for s in both] == ["it is red", "it is blue"]


def test_fields_and_columns_that_are_not_there_are_named():
    with pytest.raises(UserError, match="needs a field 'size'; there are colour, shape"):
        make(sentence="a {size} {shape}")
    with pytest.raises(UserError, match="no column 'image'"):
        make(by="image")


@needs_data
def test_easy_vqa_has_captions():
    path = "easy-vqa/easy_vqa.zip/test/questions.json"
    fields = {"colour": ["red", "teal", "blue"], "shape": ["circle", "rectangle", "triangle"]}
    samples = make(path, fields=fields, files={"image": "images/{number}.png"}).read("train", DATA)
    assert len(samples) > 100
    assert {s["caption"].split()[1] for s in samples} == {"red", "teal", "blue"}
    assert len({s["number"] for s in samples}) == len(samples)
