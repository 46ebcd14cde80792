"""Recognises images with annotated objects, in the layouts of VOC, COCO and YOLO."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from statistics import median

from PIL import Image

from unitf import Proposal
from unitf.data import file_names, kind_of_file, stored_files

_PIXELS = 320 * 240  # of an image after resizing
_PATCH = 16
_LOOKED_AT = 20  # files
_ENDS = 65_536  # bytes at each end of a JSON file
_SURE = 0.95
_AUGMENT = {
    "jitter": True,
    "flip": True,
    "affine": {"degrees": 10, "translate": 0.15, "scale": 0.25},
}


def propose_voc(path: Path) -> Proposal | None:
    """Returns how VocObjects reads a folder; None: it holds no such annotations."""
    names = file_names(path)
    found = [name for name in names if name.lower().endswith(".xml")]
    if not found or "<annotation" not in _begin(path, found[0]):
        return None
    return _proposal(path, names, f"{len(found):,} XML files of objects in images (VOC)")


def propose_coco(path: Path) -> Proposal | None:
    """Returns how CocoObjects reads a folder; None: it holds no such annotations."""
    names = file_names(path)
    found = [name for name in names if name.lower().endswith(".json") and _is_coco(path, name)]
    if not found:
        return None
    shown = ", ".join(found[:3])
    return _proposal(path, names, f"objects in images (COCO), as {shown} has them")


def propose_yolo(path: Path) -> Proposal | None:
    """Returns how YoloObjects reads a folder; None: it holds no such annotations."""
    names = file_names(path)
    stems = {PurePosixPath(name).stem for name in names if kind_of_file(name) == "image"}
    found = [n for n in names if n.endswith(".txt") and PurePosixPath(n).stem in stems]
    line = re.compile(r"\d+( +-?\d*\.?\d+(e-?\d+)?){4,}\s*")
    texts = [_begin(path, name) for name in found[:_LOOKED_AT]]
    lines = [line_ for text in texts for line_ in text.split("\n")[:-1] if line_.strip()]
    if not lines or not all(line.fullmatch(one) for one in lines):
        return None
    return _proposal(path, names, f"{len(found):,} texts of objects in images (YOLO)")


def _proposal(path: Path, names: Sequence[str], reason: str) -> Proposal | None:
    images = [name for name in names if kind_of_file(name) == "image"]
    if not images:
        return None
    recipe = {
        f"model.tokenizers.image.init_args.{key}": value for key, value in _whole(path, images)
    }
    core = {"dim": 128, "depth": 4, "num_heads": 4}
    recipe |= {f"model.core.{key}": value for key, value in core.items()}
    recipe |= {"data.batch_size": 8, "trainer.max_epochs": 200}
    recipe |= {"model.optimizer.init_args.lr": 0.0015}
    return Proposal({"path": path.name}, _SURE, reason, recipe, target="objects")


def _whole(path: Path, images: Sequence[str]) -> list[tuple[str, object]]:
    """Returns how the whole image is read: objects at its border count as well."""
    aspects = []
    for name in images[:: max(1, len(images) // _LOOKED_AT)] if path.is_dir() else []:
        with Image.open(path / name) as image:
            aspects.append(image.width / image.height)
    aspect = median(aspects or [1.0])
    width, height = (
        max(1, round((_PIXELS * ratio) ** 0.5 / _PATCH)) * _PATCH for ratio in (aspect, 1 / aspect)
    )
    resizing = {"to": [height, width], "keep_aspect": False}
    return [
        ("patch", _PATCH),
        ("size", [height, width]),
        ("resizing", resizing),
        ("augment", dict(_AUGMENT)),
    ]


def _begin(path: Path, name: str) -> str:
    return _ends(path, name)[0]


def _is_coco(path: Path, name: str) -> bool:
    both = "".join(_ends(path, name))
    return sum(f'"{key}"' in both for key in ("images", "annotations", "categories", "bbox")) > 2


def _ends(path: Path, name: str) -> tuple[str, str]:
    """Returns the beginning and the end of a file."""
    if not path.is_dir():
        content = stored_files(path, name.__eq__)[name]
        data = content if isinstance(content, bytes) else b""
        return data[:_ENDS].decode(errors="replace"), data[-_ENDS:].decode(errors="replace")
    with (path / name).open("rb") as file:
        begin = file.read(_ENDS)
        file.seek(max(0, (path / name).stat().st_size - _ENDS))
        return begin.decode(errors="replace"), file.read().decode(errors="replace")
