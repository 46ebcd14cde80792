"""The scanned digits: the same split for ever, nothing in two parts of it."""

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from unitf_image import ImagePatches, ScannedDigits

HERE = Path()


def test_every_digit_is_in_one_part_and_each_part_has_all_of_them_alike():
    parts = {split: ScannedDigits().read(split, HERE) for split in ScannedDigits().splits()}
    assert {split: len(samples) for split, samples in parts.items()} == {
        "train": 1258,
        "validation": 180,
        "test": 359,
    }
    for samples in parts.values():
        counts = Counter(sample["digit"] for sample in samples)
        assert sorted(counts) == list(range(10))
        assert max(counts.values()) - min(counts.values()) <= 0.1 * len(samples) / 10 + 1
    from sklearn.datasets import load_digits

    everything = sorted(scan.tobytes() for scan in np.uint8(load_digits().images))
    found = [np.rint(s["image"] * (16 / 255)) for samples in parts.values() for s in samples]
    assert sorted(scan.astype(np.uint8).tobytes() for scan in found) == everything


def test_images_are_of_8_bits_and_use_them():
    samples = ScannedDigits().read("train", HERE)
    assert all(s["image"].dtype == np.uint8 and s["image"].shape == (8, 8) for s in samples)
    assert max(int(sample["image"].max()) for sample in samples) == 255
    assert all(type(sample["digit"]) is int for sample in samples)


def test_the_split_never_changes():
    samples = ScannedDigits().read("test", HERE)
    assert "".join(str(sample["digit"]) for sample in samples[:40]) == (
        "1486599132220748153945912489871664052721"
    )
    assert sum(int(sample["image"].sum()) for sample in samples) == 1_789_653


def test_columns_have_the_names_that_are_asked_for():
    source = ScannedDigits(column="drawn", target="label")
    assert set(source.read("train", HERE)[0]) == {"drawn", "label"}
    assert source.configuration()["init_args"] == {"column": "drawn", "target": "label"}
    assert source.read("test_noisy", HERE) == []


def test_a_digit_in_black_on_white_is_read_like_one_in_white_on_black():
    tokenizer = ImagePatches(8, patch=4, size=8, channels=1, ground="dark", mean=0.3, std=0.4)
    light = ImagePatches(8, patch=4, size=8, channels=1, ground="light", mean=0.3, std=0.4)
    plain = ImagePatches(8, patch=4, size=8, channels=1, mean=0.3, std=0.4)
    for split in ("train", "validation", "test"):
        for sample in ScannedDigits().read(split, Path()):
            image = sample["image"]
            values = plain.encode(image).values
            assert torch.equal(tokenizer.encode(image).values, values)
            assert torch.equal(tokenizer.encode(255 - image).values, values)
            assert torch.equal(light.encode(image).values, plain.encode(255 - image).values)
    large = 255 - np.kron(image, np.ones((9, 9), np.uint8))
    assert torch.equal(tokenizer.encode(large).values, plain.encode(255 - large).values)
    floats = tokenizer.encode(1 - image / np.float32(255)).values
    assert torch.allclose(floats, values, atol=1e-5)
    blank = np.full((8, 8), 200, np.uint8)
    assert torch.equal(tokenizer.encode(blank).values, plain.encode(blank).values)
