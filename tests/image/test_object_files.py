"""Sources of annotated objects: one data set in three layouts, and annotations that are broken."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from unitf_image import CocoObjects, VocObjects, YoloObjects
from unitf_image.object_files import ObjectFiles

from unitf import UserError
from unitf.recognition.asking import answers
from unitf.recognition.recipe_maker import make_recipe
from unitf.recognition.wishes import Wishes

WIDTH, HEIGHT = 40, 20
# split → image → (class, left, top, right, bottom) in pixels
SETS = {
    "train": {
        "a": [("cat", 0, 0, 10, 10), ("dog", 20, 5, 40, 20)],
        "b": [],
        "e": [("dog", 8, 4, 16, 12)],
    },
    "val": {"c": [("dog", 4, 2, 8, 6)]},
    "test": {"d": [("cat", 10, 10, 30, 20)]},
}
SPLITS = {"train": "train", "val": "validation", "test": "test"}
NAMES = ["cat", "dog"]


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(path)


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def voc(root: Path) -> Path:
    for split, images in SETS.items():
        text(root / f"ImageSets/Main/{split}.txt", "".join(f"{name}\n" for name in images))
        for name, objects in images.items():
            image(root / f"JPEGImages/{name}.jpg")
            boxes = "".join(
                f"<object><name>{label}</name><difficult>0</difficult><bndbox><xmin>{left + 1}"
                f"</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox>"
                "</object>"
                for label, left, top, right, bottom in objects
            )
            size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
            content = f"<annotation><filename>{name}.jpg</filename>{size}{boxes}</annotation>"
            text(root / f"Annotations/{name}.xml", content)
    return root


def coco_of(images: dict[str, list[tuple]]) -> dict[str, list[dict]]:
    return {
        "images": [
            {"id": number, "file_name": f"{name}.jpg", "width": WIDTH, "height": HEIGHT}
            for number, name in enumerate(images)
        ],
        "annotations": [
            {"id": 1, "image_id": number, "category_id": 1 + NAMES.index(label), "iscrowd": 0,
             "bbox": [left, top, right - left, bottom - top], "segmentation": {"counts": [1]}}
            for number, objects in enumerate(images.values())
            for label, left, top, right, bottom in objects
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }  # fmt: skip


def coco(root: Path) -> Path:
    for split, images in SETS.items():
        for name in images:
            image(root / f"{split}2017/{name}.jpg")
        text(root / f"annotations/instances_{split}2017.json", json.dumps(coco_of(images)))
        text(root / f"annotations/captions_{split}2017.json", json.dumps({"images": []}))
    return root


def yolo(root: Path) -> Path:
    for split, images in SETS.items():
        for name, objects in images.items():
            image(root / f"images/{split}/{name}.jpg")
            lines = [
                f"{NAMES.index(label)} {(left + right) / 2 / WIDTH} {(top + bottom) / 2 / HEIGHT} "
                f"{(right - left) / WIDTH} {(bottom - top) / HEIGHT}\n"
                for label, left, top, right, bottom in objects
            ]
            if lines:
                text(root / f"labels/{split}/{name}.txt", "".join(lines))
    folders = "".join(f"{split}: ../images/{split}\n" for split in SETS)
    text(root / "data.yaml", folders + "nc: 2\nnames: {0: cat, 1: dog}\n")
    return root


LAYOUTS = {"voc": (voc, VocObjects), "coco": (coco, CocoObjects), "yolo": (yolo, YoloObjects)}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_three_layouts_of_the_same_images_give_the_same_samples(layout, packed, tmp_path, caplog):
    write, cls = LAYOUTS[layout]
    write(tmp_path / "set")
    if packed:
        shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "set")
        shutil.rmtree(tmp_path / "set")
    [first, *_] = answers("sources", tmp_path / ("set.zip" if packed else "set"))
    assert (first.cls, first.proposal.target) == (cls, "objects")
    source: ObjectFiles = cls(**first.proposal.settings)
    for split, images in SETS.items():
        samples = source.read(SPLITS[split], tmp_path)
        read = {Path(samples.name(n)).stem: sample for n, sample in enumerate(samples)}
        assert sorted(read) == sorted(images)
        for name, sample in read.items():
            assert isinstance(sample["image"], bytes if packed else str)
            assert sample["objects"].keys() == {"labels", "boxes"}
            assert sample["objects"]["labels"] == [one[0] for one in images[name]]
            expected = [np.array(one[1:]) / [WIDTH, HEIGHT, WIDTH, HEIGHT] for one in images[name]]
            np.testing.assert_allclose(sample["objects"]["boxes"], expected or [], atol=1e-9)
    assert not caplog.records


def test_a_folder_becomes_a_recipe_that_detects(tmp_path):
    made = make_recipe(voc(tmp_path / "set"), Wishes())
    model, data = made.recipe["model"], made.recipe["data"]
    assert model["tasks"]["objects"]["class_path"] == "DenseDetection"
    image_settings = model["tokenizers"]["image"]["init_args"]
    assert image_settings["size"] == [192, 384]  # the aspect of the images, in whole patches
    assert image_settings["resizing"] == {"to": [192, 384], "keep_aspect": False}
    stopping = made.recipe["trainer"]["callbacks"][1]["init_args"]
    assert (stopping["monitor"], stopping["mode"]) == ("validation/objects/map", "max")
    [line] = [line for line in made.lines if line.startswith("model.tokenizers.image")]
    assert "size [192, 384]" in line
    assert any("of about 288 tokens" in line for line in made.lines)
    assert data["sources"] == {"set": {"class_path": "VocObjects", "init_args": {"path": "set"}}}


def test_other_folders_are_not_taken(tmp_path):
    for name in ("cat/1", "cat/2", "dog/1", "dog/2"):
        image(tmp_path / f"set/{name}.jpg")
    text(tmp_path / "set/notes.txt", "of cats and dogs\n")
    text(tmp_path / "set/settings.json", json.dumps({"images": 4}))
    assert answers("sources", tmp_path / "set")[0].name == "Files"


def test_what_is_left_out_is_counted(tmp_path, caplog):
    root = voc(tmp_path / "set")
    (root / "JPEGImages/e.jpg").unlink()
    path = root / "Annotations/a.xml"
    content = path.read_text().replace("<xmax>10<", "<xmax>0<")  # no area
    path.write_text(content.replace("<ymax>20<", "<ymax>99<").replace("xmin>21", "xmin>-9"))
    samples = VocObjects("set").read("train", tmp_path)
    assert [Path(samples.name(number)).stem for number in range(len(samples))] == ["a", "b"]
    assert samples[0]["objects"] == {"labels": ["dog"], "boxes": [[0.0, 0.25, 1.0, 1.0]]}
    [record] = caplog.records
    line = record.getMessage()
    assert "\n" not in line
    assert "1 objects or files (Annotations/e.xml) whose image is not there" in line
    assert "without an area" in line
    assert "whose boxes reach out of the image and are cut" in line


def test_difficult_and_crowded_objects_are_crowds(tmp_path):
    root = voc(tmp_path / "set")
    path = root / "Annotations/a.xml"
    path.write_text(path.read_text().replace("<difficult>0", "<difficult>1", 1))
    assert VocObjects("set").read("train", tmp_path)[0]["objects"]["crowd"] == [True, False]
    content = coco_of(SETS["train"])
    content["annotations"][1]["iscrowd"] = 1
    image(tmp_path / "more/a.jpg")
    text(tmp_path / "more/all.json", json.dumps(content))
    [sample] = CocoObjects("more").read("train", tmp_path)
    assert sample["objects"]["crowd"] == [False, True]


@pytest.mark.parametrize(
    ("layout", "file", "old", "new", "message"),
    [
        ("voc", "Annotations/a.xml", "<name>cat", "<name>", "a.xml: an object has no class"),
        ("voc", "Annotations/a.xml", "<xmin>1<", "<xmin>?<", "a.xml, object 1: expected a box"),
        ("voc", "Annotations/a.xml", "</annotation>", "", "a.xml: no XML"),
        ("coco", "annotations/instances_train2017.json", '"category_id": 1', '"category_id": 7',
         "category_id 7, expected one of 1, 2"),
        ("coco", "annotations/instances_train2017.json", '"image_id": 0', '"image_id": 9',
         "image_id 9, expected one of 0, 1, 2"),
        ("coco", "annotations/instances_train2017.json", "[0, 0, 10, 10]", "[]",
         "expected a bbox of 4 numbers, found \\[\\]"),
        ("coco", "annotations/instances_train2017.json", '"name": "cat"', '"name": ""',
         "an object has no class"),
        ("coco", "annotations/instances_train2017.json", "{", "", "no JSON"),
        ("yolo", "labels/train/e.txt", "1 ", "5 ", "e.txt, line 1: class 5, expected one of 0"),
        ("yolo", "labels/train/e.txt", "1 ", "dog ", "line 1: expected numbers, found 'dog"),
        ("yolo", "labels/train/e.txt", "1 ", "1 0.5 ", "line 1: expected a class and a box"),
        ("yolo", "data.yaml", "names: {", "names: ", "data.yaml: no YAML"),
    ],
)  # fmt: skip
def test_broken_annotations_are_told_in_one_line(layout, file, old, new, message, tmp_path):
    write, cls = LAYOUTS[layout]
    path = write(tmp_path / "set") / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=message) as raised:
        cls("set").read("train", tmp_path)
    assert "\n" not in str(raised.value)
