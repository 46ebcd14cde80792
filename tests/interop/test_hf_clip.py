"""CLIP and SigLIP, tower by tower: the same vectors, and the same similarities."""

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from benchmarks.parity_cases.hf_clip import CASES, WHOLE
from unitf import UserError
from unitf.interop.exchange import export_model, import_model, write_import
from unitf.interop.hub import hubs
from unitf.interop.parity import measure, randomise
from unitf.loading import load

TEXTS = ["w1 w2 w3", "w9", "w4 w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15"]


@pytest.mark.parametrize("name", CASES)
def test_text_towers_compute_what_transformers_computes(name):
    measure(hubs()["hf"], CASES[name]()).raise_if_broken()


def save_words(folder, end_only: bool) -> transformers.PreTrainedTokenizerFast:
    """A tokenizer of 60 words; 50 begins a text and 51 ends it, or only the latter."""
    words = {f"w{i}": i for i in range(60) if i not in (50, 51)} | {"<s>": 50, "</s>": 51}
    made = Tokenizer(models.WordLevel(words, unk_token="w0"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    template = "$A </s>" if end_only else "<s> $A </s>"
    made.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[("<s>", 50), ("</s>", 51)]
    )
    published = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="</s>", unk_token="w0"
    )
    published.save_pretrained(folder)
    return published


@pytest.mark.parametrize("name", WHOLE)
def test_two_imported_towers_give_the_peers_similarities(tmp_path, name):
    published = randomise(WHOLE[name]().eval())
    folder = tmp_path / "peer"
    published.save_pretrained(folder)
    words = save_words(folder, end_only=name == "SigLIP")
    sizes = {"size": {"height": 24, "width": 24}, "do_center_crop": False}
    processor = transformers.CLIPImageProcessor(**sizes)
    processor.save_pretrained(folder)
    random = np.random.default_rng(0)
    pictures = [
        Image.fromarray(random.integers(0, 256, (30, side, 3), dtype=np.uint8)) for side in (30, 50)
    ]
    padding: str = "max_length" if name == "SigLIP" else "longest"
    inputs = words(TEXTS, padding=padding, truncation=True, max_length=12, return_tensors="pt")
    inputs = dict(inputs) if name == "CLIP" else {"input_ids": inputs.input_ids}
    with torch.no_grad():
        pixels = processor(pictures, return_tensors="pt").pixel_values
        expected = published(pixel_values=pixels, **inputs).logits_per_image
    vectors = {}
    for part, column, values in (("vision", "image", pictures), ("text", "text", TEXTS)):
        write_import(f"hf:{folder}#{part}", tmp_path / part)
        learner = load(tmp_path / part)
        made = learner.predict([{column: value} for value in values])
        found = torch.tensor([prediction["embedding"] for prediction in made])
        vectors[part] = torch.nn.functional.normalize(found, dim=1)
    similarity = vectors["vision"] @ vectors["text"].mT / learner.tasks["embedding"].temperature
    similarity = similarity + getattr(published, "logit_bias", 0.0)
    torch.testing.assert_close(similarity, expected, rtol=1e-4, atol=1e-5)


def test_a_tower_goes_back_as_a_model_of_its_own(tmp_path):
    published = randomise(WHOLE["CLIP"]().eval())
    published.save_pretrained(tmp_path / "peer")
    learner, proof = import_model(f"hf:{tmp_path / 'peer'}#vision")
    assert proof.holds
    export_model(learner, "hf", tmp_path / "back")
    back = transformers.CLIPVisionModelWithProjection.from_pretrained(tmp_path / "back")
    state = published.state_dict()
    assert back.state_dict().keys() < state.keys()
    for name, tensor in back.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_a_model_of_two_towers_asks_for_one(tmp_path):
    WHOLE["SigLIP"]().save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"several towers: import hf:.*#vision or hf:.*#text"):
        import_model(f"hf:{tmp_path}")
    with pytest.raises(UserError, match="no part 'sound'; its parts are: vision, text"):
        import_model(f"hf:{tmp_path}#sound")
