"""The table of parity: every case has a row, and what is broken is said."""

import sys

import pytest
import timm
import torch

from benchmarks import parity
from benchmarks.parity_cases import timm_images


def tiny(**options):
    return timm.create_model(
        "vit_tiny_patch16_224", img_size=16, embed_dim=8, depth=1, num_heads=2, **options
    )


def test_parts_are_the_modules_of_cases_and_the_registry():
    assert {"timm_images", "timm_registry"} <= set(parity.parts())


def test_a_broken_case_is_named_and_the_others_go_on(monkeypatch, tmp_path, capsys):
    def breaks():
        raise ValueError("no such model\nand more")

    cases = {"fine": tiny, "broken": breaks, "refused": lambda: tiny(global_pool="max")}
    monkeypatch.setattr(timm_images, "CASES", cases)
    words = ["parity", "--only", "timm_images", "--out", str(tmp_path / "page.md")]
    monkeypatch.setattr(sys, "argv", words)
    threads = torch.get_num_threads()
    assert parity.main() == 1
    torch.set_num_threads(threads)
    text = (tmp_path / "page.md").read_text()
    assert "**Broken: timm_images: broken, timm_images: refused.**" in text
    assert "| broken |  | **fails**: no such model |  |  |" in text
    assert "is not supported: global_pool is 'max'" in text
    assert f"| timm images | timm {timm.__version__} | 1 of 3 |" in text
    [fine] = [map_weight for map_weight in text.splitlines() if map_weight.startswith("| fine |")]
    _, _, outputs, gradients, back = fine.strip("| ").split(" | ")
    assert back == "yes"
    assert 0 < float(outputs) < 1e-5
    assert 0 < float(gradients) < 1e-4


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_base_patch16_224"])
def test_a_reduced_model_has_the_width_of_the_whole(name):
    from benchmarks.timm_registry import make, reduced

    width = make(name, device="meta").embed_dim
    published = reduced(name, width)
    assert published.patch_embed.grid_size == (8, 8)
    assert (published.embed_dim, len(published.blocks)) in ((192, 12), (768, 2))
