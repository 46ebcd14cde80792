"""Boxes, points and masks go where the pixels go: each step against a slow reference by pixels."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2
from unitf_image import ImageAugmentation, ImagePatches
from unitf_image.augment import STEPS, make_steps
from unitf_image.resizing import Resizing

from unitf import UserError, registry
from unitf.data.encoder import Encoder
from unitf.tasks import Classification, Detection, TokenClassification
from unitf.testing import seeded
from unitf.tokenizer import Boxes, Intervals, LabelMap, Points

SIZE = (48, 64)
BOX = (12, 18, 30, 44)  # top, left, bottom, right
FILL = np.zeros(3, np.float32)


def painted(size=SIZE, box=BOX):
    """Returns a dark image with a bright box, and the same box as targets of each kind."""
    top, left, bottom, right = box
    pixels = np.zeros((3, *size), np.uint8)
    pixels[:, top:bottom, left:right] = 255
    box = np.array([[left, top, right, bottom]]) / [size[1], size[0], size[1], size[0]]
    centre = (box[:, :2] + box[:, 2:]) / 2
    return pixels, [Boxes(box), Points(centre), LabelMap((pixels[0] > 0).astype(int))]


def check(pixels, moved):
    """Checks that the targets are where the bright pixels are."""
    boxes, points, labels = moved
    bright = pixels.mean(0) > (pixels.max() if pixels.max() > 1 else 1) / 2
    either, both = bright | (labels.values > 0), bright & (labels.values > 0)
    assert (either & ~both).sum() <= max(0.2 * either.sum(), 40)  # one row of pixels, if turned
    rows, columns = np.nonzero(bright)
    height, width = bright.shape
    if len(boxes.values):
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        found = boxes.values[0] * [width, height, width, height]
        # a turned box is wider than what it holds, so that only the centre is exact
        assert np.allclose((found[:2] + found[2:]) / 2, (np.add(seen[:2], seen[2:])) / 2, atol=2.5)
        assert (found[2:] - found[:2] >= np.subtract(seen[2:], seen[:2]) - 2.5).all()
    else:
        assert bright.sum() < 0.4 * 18 * 26 * 1.2
    for x, y in points.values * [width, height]:
        assert bright[int(y), int(x)]


# settings that move as much as a step can; what is not here is tried with its defaults
STRONG = {
    "crop": {"padding": 20},
    "flip": 1.0,
    "affine": {"degrees": 40, "translate": 0.2, "scale": 0.3, "shear": 20},
    "resized_crop": {"area": [0.3, 1.0]},
    "RandomHorizontalFlip": {"p": 1.0},
    "RandomVerticalFlip": {"p": 1.0},
    "RandomRotation": {"degrees": 40},
    "RandomAffine": {"degrees": 20, "translate": [0.2, 0.2], "shear": 10},
    "RandomCrop": {"size": [40, 40]},
    "CenterCrop": {"size": [40, 50]},
    "Pad": {"padding": 7},
    "Resize": {"size": [37, 80]},
    "RandomResize": {"min_size": 30, "max_size": 60},
    "RandomShortestSize": {"min_size": 40},
    "ScaleJitter": {"target_size": [40, 60], "scale_range": [0.7, 1.5]},
    "RandomResizedCrop": {"size": [40, 40], "scale": [0.5, 1.0]},
    "RandomPerspective": {"p": 1.0, "distortion_scale": 0.3},
}


def names():
    """Returns every step that a recipe can name: unitf's, those of plugins and torchvision's."""
    transforms = [
        name
        for name, cls in vars(v2).items()
        if isinstance(cls, type) and issubclass(cls, v2.Transform) and cls is not v2.Transform
    ]
    images = [
        name
        for name in registry.names("augmentations")
        if issubclass(registry.find("augmentations", name), ImageAugmentation)
    ]
    return [*STEPS, *images, *transforms]


@pytest.mark.filterwarnings("ignore:The transform")
@pytest.mark.parametrize("name", names())
def test_a_step_moves_targets_as_it_moves_pixels_or_refuses(name):
    try:
        crop, steps = make_steps({name: STRONG.get(name, True)})
    except UserError:
        pytest.skip("it has no defaults, or changes no single image")
    followed = 0
    for seed in range(20):
        pixels, targets = painted()
        with seeded(seed):
            if crop is not None:
                pixels, placement = crop.warp(pixels, SIZE)
                moved = [placement.move(target) for target in targets]
            else:
                try:
                    plain = steps[0](pixels, FILL)
                except UserError:
                    pytest.skip("it is for other values than an image")
                try:
                    pixels, moved = steps[0].move(painted()[0], FILL, targets)
                except UserError:  # it says that it cannot, before a target is wrong
                    assert steps[0].moves
                    assert name not in STRONG
                    return
                assert plain.dtype == pixels.dtype
        followed += 1
        if crop is None and not steps[0].moves:  # a change of colours may hide the box
            assert moved[0].values is targets[0].values
        else:
            check(pixels, moved)
    assert followed == 20


@pytest.mark.parametrize("size", [(48, 64), (30, 30), (64, 32), (13, 61)])
@pytest.mark.parametrize(
    "options",
    [
        {"size": 32},
        {"size": [24, 40]},
        {"size": 24, "resizing": Resizing([32, 32])},
        {"size": 24, "resizing": Resizing([30, 30], keep_aspect=False)},
        {"size": 24, "resizing": Resizing([28, 28], rounding="down")},
        {"cut": True},
        {},
    ],
    ids=str,
)
def test_resizing_and_cutting_move_targets_also_in_a_test(size, options):
    tokenizer = ImagePatches(8, patch=8, **options)
    box = (size[0] // 4, size[1] // 4, size[0] // 4 * 3, size[1] // 4 * 3)
    pixels, targets = painted(size, box)
    pixels, moved = tokenizer._read(pixels.transpose(1, 2, 0), targets)
    if len(moved[0].values) and moved[0].values.min() > 0.02 and moved[0].values.max() < 0.98:
        check(pixels, moved)
    bright = pixels[0] > 127
    assert bright.any()
    assert abs((moved[2].values > 0).mean() - bright.mean()) < 0.05


def test_objects_that_leave_the_image_are_left_out_and_the_others_keep_their_labels():
    made = ImagePatches(8, patch=8, augment={"crop": 40})
    boxes = np.array([[0, 0, 0.1, 0.1], [0.4, 0.4, 0.6, 0.6], [0.9, 0.9, 1, 1]])
    image = np.zeros((64, 64, 3), np.uint8)
    lost = set()
    for seed in range(30):
        with seeded(seed):
            _, [moved] = made.encode_located(image, [Boxes(boxes)], train=True)
        for number, box in zip(moved.kept, moved.values, strict=True):
            assert ((box >= 0) & (box <= 1)).all()
            assert (box[2:] - box[:2] <= boxes[number, 2:] - boxes[number, :2] + 1e-6).all()
        lost |= {0, 1, 2} - set(moved.kept.tolist())
    assert {0, 2} <= lost


IMAGE = {"image": np.zeros((32, 32, 3), np.uint8)}
OBJECTS = {"labels": ["a", "b"], "boxes": [[0.1, 0.2, 0.4, 0.6], [0.5, 0.5, 0.9, 1.0]]}


def encoded(tokenizers, tasks, sample):
    for task in tasks.values():
        task.fit([sample])
    encoder = Encoder(tokenizers, tasks, on_error="skip", seed=3)  # a recipe's fault is no sample's
    batch = encoder([encoder.item(0, sample)._replace(train=True)])
    assert not batch.skipped
    return batch


def test_a_task_gets_its_target_where_training_shows_it():
    images = ImagePatches(8, patch=8, augment={"flip": 1.0})
    task = Detection(["image"], "objects", num_objects=3)
    batch = encoded({"image": images}, {"found": task}, {**IMAGE, "objects": OBJECTS})
    target = batch.task_batches["found"].target
    centres = [[0.75, 0.4, 0.3, 0.4], [0.3, 0.75, 0.4, 0.5]]
    assert torch.allclose(target["boxes"], torch.tensor(centres), atol=1e-6)
    assert target["labels"].tolist() == [0, 1]


def test_two_tasks_read_one_encoding_of_an_image():
    images = ImagePatches(8, patch=8, augment={"crop": 4, "flip": True})
    sample = {**IMAGE, "objects": OBJECTS, "label": "x"}
    tasks = {
        "one": Detection(["image"], "objects", num_objects=3),
        "kind": Classification(["image"], "label", classes=["x", "y"]),
        "two": Detection(["image"], "objects", num_objects=4),
    }
    batch = encoded({"image": images}, tasks, sample)
    one, two = (batch.task_batches[name].target["boxes"] for name in ("one", "two"))
    assert torch.equal(one, two)


def test_what_cannot_follow_is_refused():
    images = ImagePatches(8, patch=8, augment={"flip": 1.0})
    labels = TokenClassification(["image"], "labels", classes=["a", "b"])
    with pytest.raises(UserError, match="image: its augmentation moves what TokenClassification"):
        encoded({"image": images}, {"t": labels}, {**IMAGE, "labels": ["a"] * 16})
    colours = ImagePatches(8, patch=8, augment={"jitter": True})
    encoded({"image": colours}, {"t": labels}, {**IMAGE, "labels": ["a"] * 16})
    found = Detection(["image"], "objects", num_objects=3)
    sample = {**IMAGE, "objects": OBJECTS}
    drawn = ImagePatches(8, patch=8, augment={"randaugment": True})
    with pytest.raises(UserError, match="randaugment moves what Boxes locate"):
        encoded({"image": drawn}, {"f": found}, sample)
    both = Detection(["image", "other"], "objects", num_objects=3)
    with pytest.raises(UserError, match="cannot follow both"):
        encoded(
            {"image": images, "other": images}, {"f": both}, {**sample, "other": IMAGE["image"]}
        )
    with pytest.raises(UserError, match="found Intervals of an image"):
        images.encode_located(IMAGE["image"], [Intervals(np.zeros((1, 2)))], train=True)
