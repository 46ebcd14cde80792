"""ObjectFiles: the base class of sources of images in which objects are annotated."""

import logging
import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from PIL import Image

from unitf import Sample, Source, UserError
from unitf.data import NamedSamples, find, kind_of_file, split_of, stored_files, text_of

Parts: TypeAlias = dict[str, list[tuple[str, Sample]]]
"""The samples of each split, each with its name."""

_log = logging.getLogger(__name__)
_SHOWN = 3  # names in a line


class ObjectFiles(Source, ABC):
    """Images with annotated objects, in a folder or an archive (.zip, .tar…).

    A sample is an image (its path, or its bytes in an archive) and its objects: a dictionary of
    `labels` and `boxes` (left, top, right, bottom, in fractions of the image), and `crowd` where a
    box is not to be found or missed. A box that reaches out of its image is cut; boxes without
    an area and images that are not there are left out. How many there are of each is said.

    Args:
        path: the folder or the archive.
        column: the column of the image.
        target: the column of the objects.
    """

    def __init__(self, path: str, column: str = "image", target: str = "objects") -> None:
        self.path = path
        self.column = column
        self.target = target
        self._parts: tuple[Path, Parts] | None = None  # of all splits, read once

    @abstractmethod
    def load(self, files: "Annotated") -> Parts:
        """Returns the samples of each split.

        Raises:
            UserError: an annotation is damaged.
        """

    def read(self, split: str, root: Path) -> NamedSamples:
        if self._parts is None or self._parts[0] != root:
            files = Annotated(find(self.path, root), self.column, self.target)
            parts = self.load(files)
            if not any(parts.values()):
                lines = files.remarks() or ["there is none"]
                raise UserError(f"{files.location}: no annotated image is left: {'; '.join(lines)}")
            if lines := files.remarks():
                _log.warning("%s: %s", files.location, "; ".join(lines))
            self._parts = (root, parts)
        return NamedSamples(self._parts[1].get(split, []))


class Annotated:
    """The files of a data set, the samples that are made of them, and what was left out.

    Args:
        location: the folder or the archive.
        column: the column of the image.
        target: the column of the objects.
    """

    def __init__(self, location: Path, column: str, target: str) -> None:
        self.location = location
        self.column = column
        self.target = target
        self.files = stored_files(location)
        self.by_name: dict[str, list[str]] = defaultdict(list)
        self.images: dict[str, list[str]] = defaultdict(list)  # by their names without the ending
        for name in self.files:
            self.by_name[PurePosixPath(name).name].append(name)
            if kind_of_file(name) == "image":
                self.images[PurePosixPath(name).stem].append(name)
        self.left_out: dict[str, list[str]] = defaultdict(list)  # why → the names of files

    def text(self, name: str) -> str:
        """Returns the text of a file."""
        content = self.files[name]
        data = content if isinstance(content, bytes) else Path(content).read_bytes()
        return text_of(data, self.location / name, "utf-8")

    def file(self, name: str, beside: str) -> str | None:
        """Returns the file with the name of a path that is nearest to another file."""
        return _nearest(self.by_name.get(PurePosixPath(name).name, []), beside, name)

    def image(self, name: str, beside: str) -> str | None:
        """Returns the image of a name, whatever its ending, that is nearest to another file."""
        path = PurePosixPath(name)
        is_image = kind_of_file(name) == "image"
        known = self.images.get(path.stem if is_image else path.name, [])
        exact = [image for image in known if PurePosixPath(image).name == path.name]
        return _nearest(exact or known, beside, name)

    def sample(self, image: str, boxes: "ObjectList") -> tuple[str, Sample]:
        """Returns a sample with its name."""
        for why, count in boxes.left_out.items():
            self.left_out[why] += [image] * count
        return image, {self.column: self.files[image], self.target: boxes.as_target()}

    def size(self, image: str) -> tuple[int, int]:
        """Returns width and height of an image, as they are stored.

        Raises:
            UserError: it is no image.
        """
        content = self.files[image]
        try:
            with Image.open(BytesIO(content) if isinstance(content, bytes) else content) as opened:
                return opened.size
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise UserError(f"{self.location / image}: no image ({error})") from error

    def remarks(self) -> list[str]:
        """Returns what was left out or changed, each with its number."""
        return [f"{_counted(names)} {why}" for why, names in self.left_out.items()]


class ObjectList:
    """The objects of one image.

    Args:
        location: the annotation, for messages.
    """

    def __init__(self, location: object) -> None:
        self.location = location
        self.labels: list[str] = []
        self.boxes: list[list[float]] = []
        self.crowd: list[bool] = []
        self.left_out: dict[str, int] = defaultdict(int)

    def add(self, label: object, corners: Sequence[float], crowd: bool = False) -> None:
        """Adds an object.

        Args:
            label: the name of its class.
            corners: left, top, right and bottom, in fractions of the image.
            crowd: whether the object is not to be counted.

        Raises:
            UserError: there is no class, or a number is missing.
        """
        name = str(label if label is not None else "").strip()
        if not name:
            raise UserError(f"{self.location}: an object has no class, expected its name")
        if len(corners) != 4 or not all(map(math.isfinite, corners)):
            raise UserError(f"{self.location}: expected a box of 4 numbers, found {corners}")
        left, top, right, bottom = (min(1.0, max(0.0, corner)) for corner in corners)
        if right <= left or bottom <= top:
            self.left_out["without an area in their image, whose boxes are left out"] += 1
            return
        if max(abs(a - b) for a, b in zip(corners, (left, top, right, bottom), strict=True)) > 0.01:
            self.left_out["whose boxes reach out of the image and are cut"] += 1
        self.labels.append(name)
        self.boxes.append([left, top, right, bottom])
        self.crowd.append(crowd)

    def as_target(self) -> dict[str, list[object]]:
        """Returns the objects as a target."""
        target: dict[str, list[object]] = {"labels": [*self.labels], "boxes": [*self.boxes]}
        if any(self.crowd):
            target["crowd"] = [*self.crowd]
        return target


def split_in_path(name: str) -> str | None:
    """Returns the split that a path names, as `valid/a.json` or `instances_val2017.json` does."""
    path = PurePosixPath(name)
    for part in reversed((*path.parts[:-1], path.stem)):
        words = part.replace("-", "_").replace(".", "_").split("_")
        for word in words:
            if (split := split_of(word.rstrip("0123456789"))) is not None:
                return split
    return None


def _nearest(names: Iterable[str], beside: str, wanted: str) -> str | None:
    """Returns the name that has most folders in common with a path, or with a wanted name."""
    folders = PurePosixPath(beside).parts[:-1]
    ends = PurePosixPath(wanted).parts[::-1]

    def shared(name: str) -> tuple[int, int]:
        parts = PurePosixPath(name).parts
        return _alike(parts[::-1], ends), _alike(parts, folders)

    return max(names, key=shared, default=None)


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def _counted(names: list[str]) -> str:
    shown = ", ".join(list(dict.fromkeys(names))[:_SHOWN])
    return f"{len(names)} objects or files ({shown}{', …' * (len(names) > _SHOWN)})"


def example_images(folder: Path) -> list[str]:
    """Writes two images into a folder, and returns their names without an ending."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("one", "two"):
        Image.new("RGB", (8, 6)).save(folder / f"{name}.png")
    return ["one", "two"]
