"""transformers' video models and unitf's are the same function, there and back."""

import numpy as np
import pytest
import torch
import transformers

from benchmarks.parity_cases.hf_video import CASES
from unitf import UserError
from unitf.cli import main
from unitf.interop.hub import describe, hubs
from unitf.interop.parity import measure
from unitf.loading import load


@pytest.mark.parametrize("name", CASES)
def test_unitf_computes_what_transformers_computes(name):
    measure(hubs()["hf"], CASES[name]()).raise_if_broken()


def test_a_saved_folder_predicts_as_the_peer_and_goes_back(tmp_path):
    published = CASES["VideoMAE, classifier"]().eval()
    published.save_pretrained(tmp_path / "peer")
    processor = transformers.VideoMAEImageProcessor(
        size={"shortest_edge": 19}, crop_size={"height": 16, "width": 16}
    )
    processor.save_pretrained(tmp_path / "peer")
    clip = np.random.default_rng(0).integers(0, 256, (6, 40, 31, 3), dtype=np.uint8)
    ours, back = tmp_path / "ours", tmp_path / "back"
    assert main(["import", f"hf:{tmp_path / 'peer'}", "--out", str(ours)]) == 0
    pixels = processor(list(clip), return_tensors="pt").pixel_values
    with torch.no_grad():
        expected = published(pixels).logits.softmax(1)[0]
    [made] = load(ours).predict([{"video": clip}])
    names = [published.config.id2label[i] for i in range(5)]
    found = torch.tensor([made["probabilities"][name] for name in names])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert main(["export", str(ours), "--to", "hf", "--out", str(back)]) == 0
    again = type(published).from_pretrained(back)
    for key, tensor in published.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key


def test_a_preprocessor_that_unitf_lacks_is_refused(tmp_path):
    architecture = describe(hubs()["hf"], CASES["VideoMAE"](), str(tmp_path))
    for options in ({"resample": 1}, {"do_center_crop": False}, {"do_normalize": False}):
        processor = transformers.VideoMAEImageProcessor(
            size={"height": 19, "width": 19},
            crop_size={"height": 16, "width": 16},
            **options,
        )
        processor.save_pretrained(tmp_path)
        with pytest.raises(UserError, match="its preprocessor gives frames of"):
            architecture.tokenizers()
