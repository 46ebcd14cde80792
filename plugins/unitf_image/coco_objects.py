"""CocoObjects: images with one JSON file of all objects for each split, as COCO has them."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from unitf import Proposal, Sample, UserError
from unitf_image.object_files import (
    Annotated,
    ObjectFiles,
    ObjectList,
    Parts,
    example_images,
    split_in_path,
)
from unitf_image.recognised_objects import propose_coco

Record: TypeAlias = Mapping[str, Any]


class CocoObjects(ObjectFiles):
    """Images with one JSON file of all objects for each split, as COCO has them.

    A file's name or its folder says the split: `annotations/instances_train2017.json`,
    `valid/_annotations.coco.json`. Masks (polygons or RLE) are not read. An object with `iscrowd`
    is neither to be found nor to be missed.

    Args:
        path, column, target: as for every source of ObjectFiles.
    """

    @staticmethod
    def examples(root: Path) -> dict[str, Any]:
        """Two annotated images, for `unitf plugins check CocoObjects`."""
        names = example_images(root / "coco")
        content = {
            "images": [{"id": n, "file_name": f"{name}.png"} for n, name in enumerate(names)],
            "annotations": [
                {"image_id": n, "category_id": 1, "bbox": [1, 0, 3, 3]} for n in range(len(names))
            ],
            "categories": [{"id": 1, "name": "cell"}],
        }
        (root / "coco" / "instances.json").write_text(json.dumps(content), encoding="utf-8")
        return {"path": "coco"}

    @classmethod
    def recognise(cls, path: Path) -> Proposal | None:
        """Recognises a folder or an archive of such files."""
        return propose_coco(path)

    def load(self, files: Annotated) -> Parts:
        chosen: dict[str, str] = {}
        for name in sorted(n for n in files.files if n.lower().endswith(".json")):
            split = split_in_path(name) or "train"
            # beside it lie captions and key points of the same images
            if split not in chosen or "instances" in PurePosixPath(name).name:
                chosen[split] = name
        return {split: self._samples(files, name) for split, name in chosen.items()}

    def _samples(self, files: Annotated, name: str) -> list[tuple[str, Sample]]:
        location = files.location / name
        content = _content(files, name)
        names = {one.get("id"): one.get("name") for one in content["categories"]}
        images = {one.get("id"): one for one in content["images"]}
        objects: dict[object, list[Record]] = {number: [] for number in images}
        for one in content["annotations"]:
            _check(one, "image_id", objects, location)
            _check(one, "category_id", names, location)
            objects[one["image_id"]].append(one)
        samples: list[tuple[str, Sample]] = []
        for number, record in images.items():
            file = str(record.get("file_name"))
            image = files.image(file, name)
            if image is None:
                files.left_out["whose image is not there"].append(file)
                continue
            size = (record.get("width") or 0, record.get("height") or 0)
            width, height = size if min(size) > 0 else files.size(image)
            boxes = ObjectList(f"{location}, image {number}")
            for one in objects[number]:
                left, top, wide, high = _box(one, location)
                corners = [left / width, top / height, (left + wide) / width, (top + high) / height]
                boxes.add(names[one["category_id"]], corners, bool(one.get("iscrowd")))
            samples.append(files.sample(image, boxes))
        return samples


def _check(one: Record, key: str, known: Mapping[Any, object], location: Path) -> None:
    if one.get(key) not in known:
        shown = ", ".join(map(str, list(known)[:10]))
        raise UserError(
            f"{location}, object {one.get('id')}: {key} {one.get(key)!r}, expected one of {shown}"
        )


def _content(files: Annotated, name: str) -> dict[str, Any]:
    location = files.location / name
    try:
        content = json.loads(files.text(name))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{location}: no JSON ({error})") from error
    for key in ("images", "annotations", "categories"):
        part = content.get(key) if isinstance(content, dict) else None
        if not isinstance(part, list) or not all(isinstance(one, dict) for one in part):
            raise UserError(f"{location}: expected a list of objects as {key!r}")
    return content


def _box(one: Record, location: Path) -> list[float]:
    box = one.get("bbox")
    try:
        assert isinstance(box, list) and len(box) == 4
        return [float(number) for number in box]
    except (AssertionError, TypeError, ValueError):
        raise UserError(
            f"{location}, object {one.get('id')}: expected a bbox of 4 numbers, found {box!r}"
        ) from None
