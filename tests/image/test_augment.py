"""Augmentation: a pure function of the seeds, of images to images of the same kind."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from unitf_image import ImagePatches
from unitf_image.augment import STEPS, make_steps
from unitf_image.augmentation_steps import Affine, Crop, Erase, Flip, Jitter, ResizedCrop

from unitf.errors import UserError
from unitf.testing import seeded

BLACK = np.zeros(3, np.float32)
RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 256, (3, 12, 16), dtype=np.uint8)


def apply(settings, pixels, fill=BLACK):
    resized_crop, steps = make_steps(settings)
    if resized_crop is not None:
        pixels, _ = resized_crop.warp(pixels, (pixels.shape[1], pixels.shape[2]))
    for step in steps:
        pixels = step(pixels, fill)
    return pixels


SETTINGS = [
    *({name: True} for name in STEPS),
    {"crop": {"padding": 3, "mode": "edge"}},
    {"crop": {"padding": 30, "mode": "reflect"}},
    {"crop": 30},
    {"RandomPerspective": {"p": 1.0}},
    {"TrivialAugmentWide": True},
    {"resized_crop": [0.1, 0.2], "flip": 1.0, "affine": True, "crop": 2, "erase": 1.0},
    {"flip": 1.0, "RandAugment": {"num_ops": 1}, "RandomVerticalFlip": {}},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_it_keeps_the_shape_and_follows_the_seeds(settings):
    made = ImagePatches(8, patch=4, augment=settings, mean=0.5, std=0.5)
    seen = []
    for seed in (*range(12), *range(12)):
        with seeded(seed):
            features = made.encode(IMAGE.transpose(1, 2, 0), train=True)
        assert features.values.shape == (48, 12)
        seen.append(features.values)
    assert all(torch.equal(one, other) for one, other in zip(seen[:12], seen[12:], strict=True))
    changed = [
        not torch.equal(values, made.encode(IMAGE.transpose(1, 2, 0)).values) for values in seen
    ]
    assert any(changed)


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from([name for name in STEPS if name != "randaugment"]),
    st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_own_steps_change_any_image_to_one_of_the_same_kind(name, shape, whole, seed):
    pixels = np.random.default_rng(seed).random(shape, dtype=np.float32)
    pixels = (pixels * 255).astype(np.uint8) if whole else pixels
    before = pixels.copy()
    with seeded(seed):
        changed = apply({name: True}, pixels, np.zeros(shape[0], np.float32))
    assert changed.shape == pixels.shape
    assert changed.dtype == pixels.dtype
    assert np.isfinite(changed).all()
    assert np.array_equal(pixels, before)


def test_evaluation_is_not_augmented():
    made = ImagePatches(8, augment={"crop": 4, "erase": 1.0, "flip": 1.0})
    plain = ImagePatches(8)
    image = IMAGE.transpose(1, 2, 0)
    assert torch.equal(made.encode(image).values, plain.encode(image).values)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
def test_crop_is_a_crop_of_the_padded_image(mode):
    padding, (_, height, width) = 5, IMAGE.shape
    padded = np.pad(IMAGE, ((0, 0), (padding, padding), (padding, padding)), mode=mode)
    crops = [
        padded[:, y : y + height, x : x + width]
        for y in range(2 * padding + 1)
        for x in range(2 * padding + 1)
    ]
    seen = set()
    for seed in range(300):
        random.seed(seed)
        cropped = Crop(padding, mode)(IMAGE, BLACK)
        found = [n for n, crop in enumerate(crops) if np.array_equal(crop, cropped)]
        assert found
        seen.add(found[0])
    assert len(seen) > 100  # of 121


def test_flip_mirrors_as_often_as_it_should():
    random.seed(0)
    flips = [Flip(0.3)(IMAGE, BLACK) for _ in range(1000)]
    mirrored = [np.array_equal(flipped, IMAGE[:, :, ::-1]) for flipped in flips]
    assert all(m or np.array_equal(f, IMAGE) for m, f in zip(mirrored, flips, strict=True))
    assert 250 < sum(mirrored) < 350


def test_erase_paints_a_box_in_the_mean_colour():
    colour, white = np.float32([0.2, 0.4, 0.6]), np.full((3, 40, 40), 255, np.uint8)
    shares = []
    for seed in range(200):
        random.seed(seed)
        erased = Erase(1.0)(white, colour)
        painted = (erased == np.array([51, 102, 153])[:, None, None]).all(0)
        assert (erased[:, ~painted] == 255).all()
        rows, columns = painted.any(1), painted.any(0)
        assert painted.sum() == rows.sum() * columns.sum()
        shares.append(painted.mean())
    assert 0.01 < min(shares) < 0.05
    assert 0.28 < max(shares) < 0.36


def test_resized_crop_shows_a_part():
    ramp = np.tile(np.arange(100, dtype=np.uint8), (1, 100, 1))
    for seed in range(50):
        random.seed(seed)
        shown, _ = ResizedCrop((0.25, 0.25), (1.0, 1.0)).warp(ramp, (20, 20))
        assert shown.shape == (1, 20, 20)
        assert 40 <= int(shown.max()) - int(shown.min()) <= 50


def test_affine_without_strength_changes_nothing():
    assert np.array_equal(Affine(0.0, 0.0, 0.0)(IMAGE, BLACK), IMAGE)


def test_affine_turns_about_the_centre_whatever_the_aspect():
    smooth = np.zeros((1, 41, 61), np.uint8)
    smooth[:, 20, 10:51] = 255  # a line through the centre
    random.seed(3)
    turned = Affine(90.0, 0.0, 0.0)(smooth, BLACK)[0].astype(float)
    rows, columns = np.nonzero(turned > 100)
    slope = np.polyfit(columns - 30, rows - 20, 1)[0]
    random.seed(3)
    assert abs(slope + np.tan(np.radians(random.uniform(-90, 90)))) < 0.1
    assert turned[20, 30] == 255
    length = np.hypot(np.ptp(rows), np.ptp(columns))
    assert abs(length - 40) < 2


def test_jitter_of_a_grey_colour_image_stays_grey():
    grey = np.repeat(IMAGE[:1], 3, axis=0)
    random.seed(0)
    changed = Jitter(0.5, 0.5, 0.5)(grey, BLACK).astype(int)
    assert not np.array_equal(changed, grey)
    assert np.abs(changed - changed[:1]).max() <= 1


def test_steps_that_are_off_are_not_there():
    assert make_steps({"crop": None, "flip": False, "resized_crop": None}) == (None, [])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fliip": 0.5}, "unknown name 'fliip'; did you mean flip"),
        ({"RandomHorizontalFlp": {}}, "did you mean RandomHorizontalFlip"),
        ({"qqqqqqqq": {}}, "unknown name 'qqqqqqqq'; there are resized_crop, crop"),
        ({"crop": {"paddin": 3}}, "augment: crop: unknown name 'paddin'; did you mean padding"),
        (
            {"crop": {"mode": "mirror"}},
            "augment: crop: mode: expected one of constant, edge, reflect",
        ),
        ({"crop": "four"}, "augment: crop: padding: expected a whole number"),
        ({"crop": -1}, "augment: crop: padding: expected"),
        ({"flip": 1.5}, "augment: flip: probability: expected"),
        ({"erase": {"area": 0.3}}, "augment: erase: area: expected"),
        ({"erase": {"area": [0.3, 0.1]}}, "augment: erase: area: expected"),
        ({"erase": {"ratio": [0, 1]}}, "augment: erase: ratio: expected"),
        ({"resized_crop": [0.1, 2.0]}, "augment: resized_crop: area: expected"),
        ({"affine": {"scale": 1.0}}, "augment: affine: scale: expected"),
        ({"randaugment": 40}, "augment: randaugment: magnitude: expected"),
        ({"ToDtype": {"dtype": "float"}}, "augment: ToDtype"),
        ({"RandomRotation": 3}, "augment: RandomRotation: expected a dictionary"),
        ({"RandomRotation": {"degreez": 3}}, "unknown name 'degreez'; did you mean degrees"),
        ({"RandomRotation": {}}, "augment: RandomRotation: .*degrees"),
        ({"RandomRotation": {"degrees": -3}}, "augment: RandomRotation"),
    ],
)
def test_a_wrong_setting_is_said_in_one_line(settings, message):
    with pytest.raises(UserError, match=message) as caught:
        ImagePatches(8, augment=settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "image", "message"),
    [
        ({"randaugment": 9}, np.zeros((4, 4), np.float32), "randaugment is for grey and colour"),
        ({"FiveCrop": {"size": 2}}, IMAGE[0], "augment: FiveCrop"),
        ({"Normalize": {"mean": [0.5], "std": [0.5]}}, IMAGE[0], "augment: Normalize"),
    ],
)
def test_a_transform_that_is_not_for_the_image_is_said_in_one_line(settings, image, message):
    made = ImagePatches(8, channels=1, augment=settings)
    with pytest.raises(UserError, match=message) as caught:
        made.encode(image, train=True)
    assert "\n" not in str(caught.value)
