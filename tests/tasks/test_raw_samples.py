"""What `predict`, `embed` and `generate` take: samples, values of the only input, and tables."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas
import pyarrow
import pytest
import torch
from PIL import Image
from unitf_image import ImagePatches
from unitf_text import Bytes

from unitf import Model, TransformerConfig, UserError
from unitf.raw_samples import raw_samples
from unitf.tasks import Classification

TEXTS = ["my card is gone", "a refund, please", "where is my card"]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = Model(
        TransformerConfig(dim=8, depth=1, num_heads=1),
        {"text": partial(Bytes, max_tokens=20)},
        {"queue": Classification(["text"], "queue", ["card", "money"])},
    )
    made.build_components()
    return made.eval()


def test_texts_a_sample_and_tables_are_predicted_as_samples_are(model):
    expected = model.predict([{"text": text} for text in TEXTS])
    assert [one["index"] for one in expected] == [0, 1, 2]
    frame = pandas.DataFrame({"id": [7, 8, 9], "text": TEXTS}, index=[5, 3, 1])
    for given in (TEXTS, frame, frame["text"], pyarrow.table({"text": TEXTS}), iter(TEXTS)):
        assert model.predict(given, batch_size=2) == expected
    for given in ({"text": TEXTS[0]}, TEXTS[0]):
        assert model.predict(given) == expected[:1]
    assert torch.equal(model.embed(TEXTS), model.embed(frame))


def test_paths_are_the_values_of_the_only_input(tmp_path):
    file = tmp_path / "grey.png"
    Image.fromarray(np.full((8, 8, 3), 100, np.uint8)).save(file)
    model = Model(
        TransformerConfig(dim=8, depth=1, num_heads=1),
        {"image": partial(ImagePatches, size=8, mean=0.5, std=0.5)},
        {"pet": Classification(["image"], "pet", ["cat", "dog"])},
    )
    model.build_components()
    [expected] = model.predict([{"image": str(file)}])
    encoded = {"bytes": file.read_bytes(), "path": None}
    assert model.predict([Path(file), str(file), Image.open(file), encoded]) == [
        {**expected, "index": number} for number in range(4)
    ]
    for one in (file, Image.open(file)):
        assert model.predict(one) == [expected]


def test_an_element_that_cannot_be_read_is_named_by_its_number(model):
    with pytest.raises(UserError, match=r"^sample 1: text: .*expected"):
        model.predict(["fine", 2j])
    frame = pandas.DataFrame({"text": ["fine", None], "id": [1, 2]})
    with pytest.raises(UserError, match=r"^sample 1: no input column text; the sample has id$"):
        model.predict(frame)
    skipped = []
    assert [one["index"] for one in model.predict(frame, skipped=skipped)] == [0]
    assert len(skipped) == 1
    with pytest.raises(UserError, match=r"^samples: found ndarray of shape \(2, 3\), expected a l"):
        model.predict(np.zeros((2, 3)))
    with pytest.raises(UserError, match=r"^sample 0: found int, expected a dictionary"):
        raw_samples(3, ["image", "text"])
    message = r"^sample 1: found str, expected a dictionary with a column of image, text$"
    with pytest.raises(UserError, match=message):
        raw_samples([{"text": "a"}, "b"], ["image", "text"])


def test_empty_cells_of_a_frame_are_missing():
    frame = pandas.DataFrame({"a": [1, None], "day": pandas.to_datetime(["2024-01-02", None])})
    first, second = raw_samples(frame, ["a", "day"])
    assert first["a"] == 1 and first["day"].year == 2024
    assert second == {"a": None, "day": None}
