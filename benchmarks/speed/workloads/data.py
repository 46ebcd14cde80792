"""Work of data workers: collating samples, and reading images from files."""

import io
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.workload import Side, Workload
from benchmarks.speed.workloads.common import DATA, PAD, tokenized
from unitf import Features

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _collates() -> Side:
    items = [Features(torch.tensor(text)) for text in tokenized(64)]

    def run() -> Any:
        for _ in range(50):
            packed = Features.pack(items)
        return packed

    return Side(run, 50 * len(items))


def _peer_collates() -> Side:
    from tokenizers import Tokenizer, models
    from transformers import DataCollatorWithPadding, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"[PAD]": PAD, "[UNK]": 1}, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]")
    collate = DataCollatorWithPadding(tokenizer)
    items = [{"input_ids": list(t), "attention_mask": [1] * len(t)} for t in tokenized(64)]

    def run() -> Any:
        for _ in range(50):
            padded = collate([dict(item) for item in items])
        return padded

    return Side(run, 50 * len(items))


@cache
def _files() -> tuple[bytes, ...]:
    """Returns photographs of 640×480 pixels (BCCD) as JPEG."""
    folder = DATA / "bccd"
    archives = [*folder.glob("*.zip")]
    if archives:
        with zipfile.ZipFile(archives[0]) as archive:
            names = sorted(n for n in archive.namelist() if n.endswith((".jpg", ".jpeg")))[:24]
            return tuple(archive.read(name) for name in names)
    return tuple(Path(f).read_bytes() for f in sorted(folder.rglob("*.jpg"))[:24])


def _reads() -> Side:
    from unitf_image import ImagePatches

    patches = ImagePatches(
        64, 16, size=224, augment={"flip": True, "resized_crop": {"area": [0.08, 1.0]}}
    )

    def run() -> None:
        for file in _files():
            patches.encode(file, train=True)

    return Side(run, len(_files()))


def _torchvision_reads() -> Side:
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.RandomResizedCrop(224, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(_MEAN, _STD),
        ]
    )

    def run() -> None:
        for file in _files():
            data = torch.frombuffer(bytearray(file), dtype=torch.uint8)
            transform(decode_image(data, ImageReadMode.RGB))

    return Side(run, len(_files()))


def _timm_reads() -> Side:
    from PIL import Image
    from timm.data import create_transform

    transform: Any = create_transform(224, is_training=True, color_jitter=None, auto_augment=None)

    def run() -> None:
        for file in _files():
            transform(Image.open(io.BytesIO(file)).convert("RGB"))

    return Side(run, len(_files()))


WORKLOADS = [
    Workload(
        "collate",
        "transformers' DataCollatorWithPadding",
        "samples",
        _collates,
        _peer_collates,
        30.0,
        100.0,
        quick=True,
    ),
    Workload(
        "read-images-torchvision",
        "torchvision's decoder and transforms v2",
        "images",
        _reads,
        _torchvision_reads,
        1.2,
        1.5,
    ),
    Workload(
        "read-images-timm",
        "timm's transforms",
        "images",
        _reads,
        _timm_reads,
        1.8,
        2.5,
    ),
]
