"""VocObjects: images with an XML file of their objects each, as PASCAL VOC has them."""

from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from unitf import Proposal, Sample, UserError
from unitf.data import split_of
from unitf_image.object_files import (
    Annotated,
    ObjectFiles,
    ObjectList,
    Parts,
    example_images,
    split_in_path,
)
from unitf_image.recognised_objects import propose_voc


class VocObjects(ObjectFiles):
    """Images with an XML file of their objects each, as PASCAL VOC and LabelImg write them.

    The splits are those of `ImageSets/Main/train.txt`, `val.txt` and `test.txt`; without them,
    those that the folders are named after. Pixels count from 1, and both ends belong to a box. An
    object that is `difficult` is neither to be found nor to be missed.

    Args:
        path, column, target: as for every source of ObjectFiles.
    """

    @staticmethod
    def examples(root: Path) -> dict[str, Any]:
        """Two annotated images, for `unitf plugins check VocObjects`."""
        box = "<xmin>2</xmin><ymin>1</ymin><xmax>5</xmax><ymax>4</ymax>"
        shown = f"<object><name>cell</name><bndbox>{box}</bndbox></object>"
        for name in example_images(root / "voc"):
            text = f"<annotation><filename>{name}.png</filename>{shown}</annotation>"
            (root / "voc" / f"{name}.xml").write_text(text, encoding="utf-8")
        return {"path": "voc"}

    @classmethod
    def recognise(cls, path: Path) -> Proposal | None:
        """Recognises a folder or an archive of such files."""
        return propose_voc(path)

    def load(self, files: Annotated) -> Parts:
        parts: Parts = {}
        for split, names in _splits(files).items():
            for name in names:
                sample = self._sample(files, name)
                if sample is not None:
                    parts.setdefault(split, []).append(sample)
        return parts

    def _sample(self, files: Annotated, name: str) -> tuple[str, Sample] | None:
        """Returns the sample of an annotation; None: its image is not there."""
        root = _parsed(files, name)
        image = files.image(root.findtext("filename") or PurePosixPath(name).stem, name)
        image = image or files.image(PurePosixPath(name).stem, name)
        if image is None:
            files.left_out["whose image is not there"].append(name)
            return None
        width, height = _size(root) or files.size(image)
        boxes = ObjectList(files.location / name)
        for number, found in enumerate(root.iter("object"), start=1):
            left, top, right, bottom = _corners(found, f"{files.location / name}, object {number}")
            corners = [(left - 1) / width, (top - 1) / height, right / width, bottom / height]
            if right <= left or bottom <= top:  # empty, although both ends belong to a box
                corners[2:] = corners[:2]
            boxes.add(found.findtext("name"), corners, found.findtext("difficult") == "1")
        return files.sample(image, boxes)


def _splits(files: Annotated) -> dict[str, list[str]]:
    """Returns the annotations of each split."""
    annotations = [name for name in files.files if name.lower().endswith(".xml")]
    listed: dict[str, str] = {}
    for name in files.files:
        path = PurePosixPath(name)
        if path.suffix == ".txt" and path.parts[-3:-1] == ("ImageSets", "Main"):
            if (split := split_of(path.stem)) is not None:
                listed[split] = name
            elif path.stem == "trainval":
                listed.setdefault("both", name)
    if (both := listed.pop("both", None)) is not None and "train" not in listed:
        listed["train"] = both
    if not listed:
        found: dict[str, list[str]] = {}
        for name in annotations:
            split = split_in_path(str(PurePosixPath(name).parent)) or "train"
            found.setdefault(split, []).append(name)
        return found
    return {split: _listed(files, name) for split, name in listed.items()}


def _listed(files: Annotated, name: str) -> list[str]:
    found: list[str] = []
    for line in files.text(name).split("\n"):
        if not (words := line.split()):
            continue
        annotation = files.file(f"{words[0]}.xml", name)
        if annotation is None:
            files.left_out[f"in {name} that have no annotation"].append(words[0])
        else:
            found.append(annotation)
    return found


def _parsed(files: Annotated, name: str) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(files.text(name))
    except ElementTree.ParseError as error:
        raise UserError(f"{files.location / name}: no XML ({error})") from error
    if root.tag != "annotation":
        raise UserError(f"{files.location / name}: found <{root.tag}>, expected <annotation>")
    return root


def _size(root: ElementTree.Element) -> tuple[float, float] | None:
    """Returns width and height as the annotation says them; None: it does not."""
    try:
        width, height = (float(root.findtext(f"size/{side}") or 0) for side in ("width", "height"))
    except ValueError:
        return None
    return (width, height) if width > 0 and height > 0 else None


def _corners(found: ElementTree.Element, location: str) -> list[float]:
    texts = [found.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    try:
        return [float(text or "") for text in texts]
    except ValueError:
        raise UserError(f"{location}: expected a box of 4 numbers, found {texts}") from None
