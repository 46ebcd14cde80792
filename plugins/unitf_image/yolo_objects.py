"""YoloObjects: images with a text of their objects each, as YOLO has them."""

from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from unitf import Proposal, UserError
from unitf.data import kind_of_file, split_of
from unitf_image.object_files import (
    Annotated,
    ObjectFiles,
    ObjectList,
    Parts,
    example_images,
    split_in_path,
)
from unitf_image.recognised_objects import propose_yolo


class YoloObjects(ObjectFiles):
    """Images with a text of their objects each, as YOLO has them.

    A line of a text is the number of a class and a box: centre, width and height in fractions of
    the image; or the class and a polygon, whose box is taken. The text of `images/a.jpg` is
    `labels/a.txt`, or lies beside it; an image without one shows no object. `data.yaml` names the
    classes (or `classes.txt` does) and the images of each split; without it, folders do.

    Args:
        path, column, target: as for every source of ObjectFiles.
    """

    @staticmethod
    def examples(root: Path) -> dict[str, Any]:
        """Two annotated images, for `unitf plugins check YoloObjects`."""
        for name in example_images(root / "yolo"):
            (root / "yolo" / f"{name}.txt").write_text("0 0.5 0.5 0.25 0.5", encoding="utf-8")
        (root / "yolo" / "data.yaml").write_text("names: [cell]", encoding="utf-8")
        return {"path": "yolo"}

    @classmethod
    def recognise(cls, path: Path) -> Proposal | None:
        """Recognises a folder or an archive of such files."""
        return propose_yolo(path)

    def load(self, files: Annotated) -> Parts:
        settings = _settings(files)
        names = _class_names(files, settings)
        images = [name for name in files.files if kind_of_file(name) == "image"]
        parts: Parts = {}
        for name in images:
            split = _split_of_image(name, settings)
            if split is not None:
                text = _label_file(files, name)
                boxes = _boxes(files, text, names) if text else ObjectList(name)
                parts.setdefault(split, []).append(files.sample(name, boxes))
        return parts


def _settings(files: Annotated) -> dict[str, object]:
    """Returns what `data.yaml` says; nothing, if there is none."""
    for name in files.files:
        path = PurePosixPath(name)
        if path.suffix in (".yaml", ".yml"):
            try:
                content = yaml.safe_load(files.text(name))
            except yaml.YAMLError as error:
                line = " ".join(str(error).split())
                raise UserError(f"{files.location / name}: no YAML ({line})") from error
            if isinstance(content, dict) and "names" in content:
                return content
    return {}


def _class_names(files: Annotated, settings: dict[str, object]) -> dict[int, str] | None:
    """Returns the names of the classes by number; None: they are not named."""
    names = settings.get("names")
    if isinstance(names, dict):
        return {int(number): str(name) for number, name in names.items()}
    if isinstance(names, list):
        return dict(enumerate(map(str, names)))
    listed = files.file("classes.txt", "")
    if listed is None:
        return None
    return dict(enumerate(line.strip() for line in files.text(listed).split("\n") if line.strip()))


def _split_of_image(name: str, settings: dict[str, object]) -> str | None:
    """Returns the split of an image; None: the settings name other folders."""
    named = {
        split: folder
        for key, folder in settings.items()
        if (split := split_of(key)) is not None and isinstance(folder, str)
    }
    for split, folder in named.items():
        plain = "/".join(part for part in PurePosixPath(folder).parts if part not in ("..", "."))
        if f"/{plain}/" in f"/{name}":
            return split
    found = split_in_path(str(PurePosixPath(name).parent))
    return found if named and found in named else None if named else found or "train"


def _label_file(files: Annotated, image: str) -> str | None:
    """Returns the text of an image's objects; None: there is none."""
    path = PurePosixPath(image).with_suffix(".txt")
    parts = list(path.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    for name in ("/".join(parts), str(path)):
        if name in files.files:
            return name
    return None


def _boxes(files: Annotated, name: str, names: dict[int, str] | None) -> ObjectList:
    boxes = ObjectList(files.location / name)
    for number, line in enumerate(files.text(name).split("\n"), start=1):
        if not (words := line.split()):
            continue
        location = f"{files.location / name}, line {number}"
        try:
            kind, *values = int(float(words[0])), *map(float, words[1:])
        except ValueError:
            raise UserError(f"{location}: expected numbers, found {line[:60]!r}") from None
        if names is not None and kind not in names:
            raise UserError(f"{location}: class {kind}, expected one of 0 to {len(names) - 1}")
        boxes.add(kind if names is None else names[kind], _corners(values, location))
    return boxes


def _corners(values: list[float], location: str) -> list[float]:
    """Returns the corners of a box by centre and size, or of the box of a polygon."""
    if len(values) == 4:
        x, y, width, height = values
        return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    if len(values) < 6 or len(values) % 2:
        raise UserError(
            f"{location}: expected a class and a box of 4 numbers, or a polygon, found "
            f"{len(values)} numbers after the class"
        )
    return [min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])]
