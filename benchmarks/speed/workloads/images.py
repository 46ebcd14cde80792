"""Vision transformers, against timm's."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.speed.workload import Side, Workload, precision
from benchmarks.speed.workloads.common import batch_of, learner_of, side
from unitf import Features

_BATCH, _CLASSES, _PATCH = 8, 10, (16, 16)


def _vit(name: str) -> Any:
    import timm

    return timm.create_model(name, num_classes=_CLASSES, drop_path_rate=0.0)


def _pixels() -> Tensor:
    return torch.randn(_BATCH, 3, 224, 224, generator=torch.Generator().manual_seed(1))


def _labels() -> Tensor:
    return torch.arange(_BATCH) % _CLASSES


def _ours(name: str, dtype: torch.dtype, train: bool) -> Side:
    from unitf_image.patch_grid import grid_positions, to_grid
    from unitf_image.rows import to_rows

    learner = learner_of(_vit(name), "timm")
    [task], [tokenizer] = learner.tasks, learner.tokenizers
    positions = grid_positions(to_grid((224, 224), _PATCH))
    parts = [
        Features(torch.from_numpy(to_rows(i.numpy(), _PATCH)).mT, positions) for i in _pixels()
    ]
    batch = batch_of(task, {tokenizer: Features.pack(parts)}, _labels())
    losses = [lambda: learner.loss(batch)] if train else None
    return side(learner, _BATCH, [lambda: learner(batch)[task]], losses, dtype, counted=True)


def _theirs(name: str, dtype: torch.dtype, train: bool) -> Side:
    published, pixels, labels = _vit(name), _pixels(), _labels()
    losses = [lambda: cross_entropy(published(pixels).float(), labels)] if train else None
    return side(published, _BATCH, [lambda: published(pixels)], losses, dtype, counted=False)


def _workload(
    name: str,
    size: str,
    train: bool,
    half: bool,
    must: float,
    aim: float,
    shares: tuple[float | None, float | None] = (None, None),
    quick: bool = False,
) -> Workload:
    model, dtype = f"vit_{size}_patch16_224", torch.bfloat16 if half else torch.float32
    return Workload(
        f"{name}-{'bfloat16' if half else 'float32'}",
        f"timm {model}",
        "images",
        partial(_ours, model, dtype, train),
        partial(_theirs, model, dtype, train),
        must,
        aim,
        share_must=shares[0],
        share_aim=shares[1],
        **precision(half),
        quick=quick,
    )


WORKLOADS = [
    _workload("vit-tiny-infer", "tiny", False, False, 1.05, 1.12, (0.65, 0.72), quick=True),
    _workload("vit-tiny-train", "tiny", True, False, 1.05, 1.15, (0.58, 0.68)),
    _workload("vit-tiny-train", "tiny", True, True, 1.15, 1.35),
    _workload("vit-small-infer", "small", False, False, 1.05, 1.12, (0.65, 0.72)),
    _workload("vit-small-train", "small", True, False, 1.05, 1.15, (0.58, 0.68)),
]
