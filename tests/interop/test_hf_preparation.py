"""What an imported model makes of a picture is what the peer's preprocessor makes of it."""

import json

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from unitf_image.rows import from_rows

from benchmarks.parity_cases.hf_images import CASES
from unitf import UserError
from unitf.cli import main
from unitf.interop.hub import describe, hubs
from unitf.interop.parity import randomise
from unitf.loading import load
from unitf.tasks.common.boxes import to_corners

SMALL = {"height": 24, "width": 24}
PROCESSORS = {
    "whole": ("ViTImageProcessor", {"size": SMALL}),
    "whole, then cut": (
        "DeiTImageProcessor",
        {"size": {"height": 29, "width": 31}, "crop_size": SMALL},
    ),
    "edge, then cut": (
        "CLIPImageProcessor",
        {"size": {"shortest_edge": 27}, "crop_size": SMALL, "image_std": [0.2, 0.3, 0.4]},
    ),
    "edge, not normalised": (
        "BitImageProcessor",
        {"size": {"shortest_edge": 24}, "crop_size": SMALL, "do_normalize": False},
    ),
    "nearest, rescaled": (
        "SiglipImageProcessor",
        {"size": SMALL, "resample": 0, "rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3},
    ),
    "not rescaled": ("ViTImageProcessor", {"size": SMALL, "do_rescale": False}),
}


def pictures() -> list[Image.Image]:
    random = np.random.default_rng(0)
    shapes = [(37, 61, 3), (50, 25, 3), (24, 24, 3), (9, 12, 3)]
    return [Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)) for shape in shapes]


@pytest.mark.parametrize("name", PROCESSORS)
def test_pixels_are_those_of_the_peers_preprocessor(tmp_path, name):
    kind, options = PROCESSORS[name]
    getattr(transformers, kind)(**options).save_pretrained(tmp_path)
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path)
    architecture = describe(hubs()["hf"], CASES["DINOv2"]().eval(), str(tmp_path))
    tokenizer = architecture.tokenizers()["image"]
    for picture in pictures():
        expected = processor(picture, return_tensors="np").pixel_values[0]
        features = tokenizer.encode(picture)
        places = np.unique(features.positions.numpy(), axis=1)
        assert places.shape == (2, 9)
        rows = features.rows.numpy()
        made = from_rows(rows, np.indices((3, 3)).reshape(2, -1), (8, 8))
        size = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(made, expected, rtol=0, atol=1e-5 * size)


def test_a_preprocessor_that_unitf_lacks_is_refused(tmp_path):
    architecture = describe(hubs()["hf"], CASES["ViT"]().eval(), str(tmp_path))
    kind = transformers.ViTImageProcessor
    kind(size=SMALL, resample=1).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="resizes with resample 1"):
        architecture.tokenizers()
    kind(size=SMALL, crop_size={"height": 25, "width": 9}, do_center_crop=True).save_pretrained(
        tmp_path
    )
    with pytest.raises(UserError, match="which is smaller"):
        architecture.tokenizers()
    kind(size={"shortest_edge": 9, "longest_edge": 12}).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"resizes to .*which unitf cannot"):
        architecture.tokenizers()
    kind(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"prepares images of \[32, 32\], but .* \[24, 24\]"):
        architecture.tokenizers()


def test_registers_see_the_same_view_at_the_size_of_their_positions(tmp_path):
    kind = transformers.BitImageProcessor
    kind(size={"shortest_edge": 16}, crop_size={"height": 12, "width": 12}).save_pretrained(
        tmp_path
    )
    published = CASES["DINOv2, registers"]().eval()
    tokenizer = describe(hubs()["hf"], published, str(tmp_path)).tokenizers()["image"]
    assert (tokenizer.size, tokenizer.resizing.to) == ((24, 24), [32, 32])


@pytest.mark.parametrize("name", ["ViT, classifier", "DINOv2, classifier"])
def test_a_saved_folder_predicts_as_the_peer_and_goes_back(tmp_path, capsys, name):
    published = CASES[name]().eval()
    published.save_pretrained(tmp_path / "peer")
    # for DINOv2 another size than the one its positions were learned for
    side = 24 if "ViT" in name else 16
    processor = transformers.ViTImageProcessor(size={"height": side, "width": side})
    processor.save_pretrained(tmp_path / "peer")
    ours, back = tmp_path / "ours", tmp_path / "back"
    assert main(["import", f"hf:{tmp_path / 'peer'}", "--out", str(ours)]) == 0
    picture = pictures()[0]
    with torch.no_grad():
        expected = published(**processor(picture, return_tensors="pt")).logits.softmax(1)[0]
    [made] = load(ours).predict([{"image": picture}])
    names = [published.config.id2label[i] for i in range(5)]
    found = torch.tensor([made["probabilities"][name] for name in names])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    picture.save(tmp_path / "picture.png")
    capsys.readouterr()
    arguments = ["--checkpoint", str(ours), "--input", f"image={tmp_path / 'picture.png'}"]
    assert main(["predict", *arguments, "--json"]) == 0
    assert names[int(expected.argmax())] in capsys.readouterr().out
    assert main(["export", str(ours), "--to", "hf", "--out", str(back)]) == 0
    again = type(published).from_pretrained(back)
    assert json.loads((back / "preprocessor_config.json").read_text())["size"]["height"] == side
    for key, tensor in published.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key


def test_a_detector_finds_what_the_peer_finds_in_an_image_of_any_aspect(tmp_path):
    published = randomise(CASES["YOLOS, objects"]().eval())
    published.save_pretrained(tmp_path / "peer")
    means = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}
    transformers.YolosImageProcessor(**means).save_pretrained(tmp_path / "peer")
    assert main(["import", f"hf:{tmp_path / 'peer'}", "--out", str(tmp_path / "ours")]) == 0
    learner = load(tmp_path / "ours")
    learner.tasks["objects"].threshold = 0.0
    # by the size of its positions both have the same pixels
    same = transformers.ViTImageProcessor(size={"height": 16, "width": 32}, **means)
    for picture, made in zip(
        pictures(), learner.predict([{"image": picture} for picture in pictures()]), strict=True
    ):
        with torch.no_grad():
            expected = published(**same(picture, return_tensors="pt"))
        chances = expected.logits[0].softmax(1)[:, :-1].max(1).values.sort(descending=True)
        found = made["objects"]
        probabilities = torch.tensor([one["probability"] for one in found])
        torch.testing.assert_close(probabilities, chances.values, rtol=1e-4, atol=1e-5)
        boxes = to_corners(expected.pred_boxes[0]).clamp(0, 1)[chances.indices]
        torch.testing.assert_close(
            torch.tensor([one["box"] for one in found]), boxes, rtol=1e-4, atol=1e-5
        )
