"""The page: it needs nothing else, and its numbers are the rows."""

import base64
import json
import re

import numpy as np
import pytest
import torch
from attended_models import PICTURE, reader, writer

from unitf import Features
from unitf.analysis.attention import attend
from unitf.analysis.attention.page import write_page

NAMESPACE = "http://www.w3.org/2000/svg"


def written(folder, learner, sample, title="a title"):
    attended = attend(learner, sample)
    return attended, write_page(folder / "attention.html", attended, title).read_text()


def data_of(page):
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1]
    )


def unpacked(text, shape):
    return np.frombuffer(base64.b64decode(text), "<u2").reshape(shape) / 65535


@pytest.mark.parametrize(
    ("learner", "sample"),
    [
        (reader(prefix=1), {"text": "abc", "picture": PICTURE}),
        (writer("memory"), {"picture": PICTURE, "target": "de"}),
        (writer("prefix"), {"text": "ab", "target": "de"}),
    ],
    ids=["mixed", "encoder-decoder", "prefix"],
)
def test_its_numbers_are_the_rows(tmp_path, learner, sample):
    attended, page = written(tmp_path, learner, sample)
    shown = {each["name"]: each for each in data_of(page)["maps"]}
    expected = [*attended.maps, *([attended.alignment] if attended.alignment else [])]
    assert shown.keys() == {looks.name for looks in expected}
    for looks in expected:
        found = shown[looks.name]
        for name, shape in (("rows", found["shape"]), ("rollout", found["shape"][2:])):
            numbers = unpacked(found[name], shape)
            np.testing.assert_allclose(numbers, getattr(looks, name).numpy(), rtol=0, atol=1e-5)
        sides = (found["queries"], found["keys"] or found["queries"])
        for side, real, count in zip(
            sides, (looks.queries, looks.keys), found["shape"][2:], strict=True
        ):
            assert sorted(index for part in side for index in part["columns"]) == [*range(count)]
            assert [part["names"] for part in side] == [part.names for part in real]
            for part in side:
                assert len(part.get("boxes", part["columns"])) == len(part["columns"])


def test_it_loads_nothing_from_elsewhere(tmp_path):
    _, page = written(tmp_path, reader(), {"text": "abc", "picture": PICTURE})
    assert not re.findall(r"\b(?:src|url|import|fetch|link)\b\s*[=(\"']", page)
    assert not re.findall(r"(?:https?:)?//[\w.]+\.\w+", page.replace(NAMESPACE, ""))
    assert data_of(page)["maps"][0]["queries"][1]["picture"].startswith("data:image/png;base64,")


def test_words_cannot_break_out_of_it(tmp_path):
    learner = reader()
    names = ["</script><b>", "<!--", *learner.tokenizers["text"].token_names()[2:]]
    learner.tokenizers["text"].token_names = lambda: names
    learner.tokenizers["text"].encode = lambda value, train=False: Features(torch.tensor([0, 1]))
    title = "<i>{{data}}</i> & more"
    _, page = written(tmp_path, learner, {"text": "ab"}, title)
    plain = written(tmp_path, reader(), {"text": "ab"})[1]
    for tag in ("<b>", "<i>", "</script>", "<script"):
        assert page.count(tag) == plain.count(tag) + (tag == "<b>")  # inside the data, as text
    assert "&lt;i&gt;{{data}}&lt;/i&gt; &amp; more" in page
    assert data_of(page)["maps"][0]["queries"][0]["names"] == names[:2]
