"""A folder that timm wrote, in use: the same pixels, names of classes, and the way back."""

import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config
from timm.models import save_for_hf
from unitf_image.image_patches import ImagePatches
from unitf_image.rows import from_rows

from unitf.cli import main
from unitf.interop.hub import describe, hubs
from unitf.loading import load

ARGUMENTS = {
    "img_size": [32, 24],
    "patch_size": 8,
    "embed_dim": 24,
    "depth": 2,
    "num_heads": 2,
    "reg_tokens": 2,
    "init_values": 0.1,
    "act_layer": "gelu_tanh",
}
SMALL = {"embed_dim": 12, "depth": 1, "num_heads": 1}


def picture(height: int, width: int) -> Image.Image:
    """Smooth waves of all directions, and noise."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 7 + columns / (3 + c)) * 80 + 128 for c in range(3)]
    noise = np.random.default_rng(0).normal(0, 20, (height, width, 3))
    return Image.fromarray((np.stack(waves, -1) + noise).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "name, options",
    [
        ("vit_small_patch16_224", {}),  # 0.9 of the image, bicubic
        ("vit_base_patch32_clip_224", {}),
        ("vit_base_patch16_siglip_224", {}),  # squashed
        ("eva02_tiny_patch14_336", {}),  # the whole
        ("vit_base_patch16_clip_224", {"img_size": (192, 128)}),  # not square
        ("vit_tiny_patch16_dinov3_qkvb", {}),
        ("beit_base_patch16_224", {}),
        ("vit_so400m_patch14_siglip_384", {}),  # 27 patches of 14, and 6 pixels that nobody reads
    ],
)
@pytest.mark.parametrize("size", [(300, 401), (500, 333), (97, 60)])
def test_images_are_prepared_as_timm_prepares_them(name, options, size):
    published = timm.create_model(name, **SMALL, **options)
    tokenizer = describe(hubs()["timm"], published).tokenizers()["image"]
    assert isinstance(tokenizer, ImagePatches)
    wanted = (3, *published.patch_embed.img_size)
    config = resolve_data_config({"input_size": wanted}, pretrained_cfg=published.pretrained_cfg)
    rows, columns = (side // p * p for side, p in zip(wanted[1:], tokenizer.patch, strict=True))
    expected = create_transform(**config)(picture(*size))[:, :rows, :columns]
    features = tokenizer.encode(picture(*size))
    places = features.positions.long().numpy()
    found = torch.from_numpy(from_rows(features.rows.numpy(), places, tokenizer.patch))
    std = torch.tensor(config["std"])[:, None, None]
    apart = (found - expected) * std * 255
    # PIL rounds to uint8 twice, after the rows and after the columns, and torch does it its way
    assert apart.abs().max() < 2.01
    assert (apart.abs() > 1.01).float().mean() < 1e-4
    assert (apart.abs() > 0.5).float().mean() < 0.1
    assert apart.mean().abs() < 0.05


def test_a_folder_that_timm_wrote_is_imported_predicts_and_goes_back(tmp_path, capsys):
    published = timm.create_model("vit_tiny_patch16_224", num_classes=3, **ARGUMENTS).eval()
    torch.nn.init.normal_(published.head.weight)
    names = {"label_names": ["cat", "dog", "owl"], "model_args": ARGUMENTS}
    save_for_hf(published, str(tmp_path / "theirs"), model_config=names, safe_serialization=True)

    assert main(["import", f"timm:{tmp_path / 'theirs'}", "--out", str(tmp_path / "ours")]) == 0
    picture(40, 50).save(tmp_path / "picture.png")
    capsys.readouterr()
    words = ["--checkpoint", str(tmp_path / "ours"), "--input", f"image={tmp_path / 'picture.png'}"]
    assert main(["predict", *words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    config = resolve_data_config(
        {"input_size": (3, 32, 24)}, pretrained_cfg=published.pretrained_cfg
    )
    pixels = create_transform(**config)(picture(40, 50))
    with torch.inference_mode():
        expected = published(pixels[None]).softmax(1)[0]
    assert told[0]["label"] == ["cat", "dog", "owl"][expected.argmax()]
    assert abs(told[0]["probability"] - expected.max().item()) < 0.01

    back = ["--to", "timm", "--out", str(tmp_path / "back")]
    assert main(["export", str(tmp_path / "ours"), *back]) == 0
    again = timm.create_model(f"local-dir:{tmp_path / 'back'}", pretrained=True).eval()
    assert again.state_dict().keys() == published.state_dict().keys()
    for name, tensor in published.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    with torch.inference_mode():
        assert torch.equal(again(pixels[None]), published(pixels[None]))


def test_coordinates_and_resizing_are_part_of_the_checkpoint(tmp_path):
    published = timm.create_model("vit_pe_spatial_tiny_patch16_512", **{**SMALL, "img_size": 64})
    published.pretrained_cfg["architecture"] = "vit_pe_spatial_tiny_patch16_512"
    hub = hubs()["timm"]
    hub.save(published, tmp_path / "theirs", None)
    config = json.loads((tmp_path / "theirs" / "config.json").read_text())
    config["model_args"] |= SMALL
    (tmp_path / "theirs" / "config.json").write_text(json.dumps(config))
    assert main(["import", f"timm:{tmp_path / 'theirs'}", "--out", str(tmp_path / "ours")]) == 0
    tokenizer = load(tmp_path / "ours").tokenizers["image"]
    assert isinstance(tokenizer, ImagePatches)
    places = tokenizer(tokenizer.encode(picture(70, 90))).positions
    assert places[:, 0].tolist() == [0, 0]  # the class token is not turned
    assert places[0].unique().tolist() == [0, 8, 16, 24, 32]  # 4 patches on 32, from the first on


def test_classes_of_imagenet_have_names():
    published = timm.create_model("vit_tiny_patch16_224", **SMALL)
    [task] = describe(hubs()["timm"], published).tasks().values()
    assert task.num_classes == 1000
    assert task.classes[1] == "goldfish, Carassius auratus"
    assert len({name for name in task.classes if name.startswith("crane")}) == 2
