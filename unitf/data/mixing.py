"""Mixup and cutmix: blends of two training samples, with blended targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from unitf.batch import Batch, TaskBatch
from unitf.data.encoder import Item
from unitf.data.seeding import mix
from unitf.errors import UserError, did_you_mean
from unitf.features import Features
from unitf.tasks.classification import Classification
from unitf.tasks.multi_label import MultiLabelClassification
from unitf.tasks.task import Task


@dataclass(frozen=True)
class Mixing:
    """How often and how strongly the samples of a training batch are blended in pairs.

    Mixup (Zhang et al., 2018) blends all numbers. Cutmix (Yun et al., 2019) takes the tokens inside
    a box of positions from the other sample. A sample can be blended if it has only one column, its
    tokens have the same positions as in most other samples, and its target is a class.

    Args:
        mixup: α of Beta(α, α), from which the ratio of the blend is drawn; 0: no mixup.
        cutmix: the same for cutmix; with both, each batch has one of them.
        probability: the probability that a batch is blended.
        columns: which columns; by default all whose tokens are vectors of numbers.
        tasks: which tasks; by default every Classification and MultiLabelClassification, as a
            blend of boxes or of the labels of tokens means nothing.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    probability: float = 1.0
    columns: list[str] | None = None
    tasks: list[str] | None = None


class BatchMixing:
    """Applies a Mixing to batches, as a pure function of seed, epoch and the samples of the batch.

    Args:
        mixing: the settings.
        tasks: the tasks by name.
        seed: of the random numbers.

    Raises:
        UserError: the settings name an unknown column or task, or have no number above 0.
    """

    def __init__(self, mixing: Mixing, tasks: Mapping[str, Task], seed: int) -> None:
        if mixing.mixup <= 0 and mixing.cutmix <= 0:
            raise UserError("data.mix: give mixup, cutmix or both a number above 0")
        for name in mixing.tasks or []:
            if name not in tasks:
                raise UserError(f"data.mix: unknown task {name!r}" + did_you_mean(name, tasks))
            if not _can_blend(tasks[name]):
                raise UserError(
                    f"data.mix: task {name} is a {type(tasks[name]).__name__}, expected a "
                    "Classification or MultiLabelClassification"
                )
        columns = dict.fromkeys(c for task in tasks.values() for c in task.inputs)
        for name in mixing.columns or []:
            if name not in columns:
                raise UserError(f"data.mix: unknown column {name!r}" + did_you_mean(name, columns))
        self.mixing: Mixing = mixing
        self.seed: int = seed
        wanted = list(tasks) if mixing.tasks is None else mixing.tasks
        self.num_classes: dict[str, int] = {
            name: task.num_classes for name in wanted if _can_blend(task := tasks[name])
        }

    def __call__(self, batch: Batch, items: Sequence[Item]) -> Batch:
        """Returns the batch of these items with blended samples and targets."""
        if not items:
            return batch
        generator = np.random.default_rng(mix(self.seed, items[0].epoch, items[0].index))
        task_batches = dict(batch.task_batches)
        for name, num_classes in self.num_classes.items():
            task_batches[name] = self._mix(task_batches[name], num_classes, generator)
        return replace(batch, task_batches=task_batches)

    def _mix(self, batch: TaskBatch, num_classes: int, generator: np.random.Generator) -> TaskBatch:
        features, target = dict(batch.features), batch.target
        for column, packed in batch.features.items():
            if packed.is_ids or (self.mixing.columns and column not in self.mixing.columns):
                continue
            chosen = alike(packed, [m == column for m in batch.modalities])
            if len(chosen) < 2 or generator.random() >= self.mixing.probability:
                continue
            partners = generator.permutation(chosen).tolist()
            ratio, mask = self._draw(packed, chosen[0], generator)
            features[column] = blend(packed, chosen, partners, mask)
            target = blend_targets(target, num_classes, chosen, partners, ratio)
        return replace(batch, features=features, target=target)

    def _draw(
        self, packed: Features, sequence: int, generator: np.random.Generator
    ) -> tuple[float, Float[Tensor, " n"]]:
        """Draws the ratio that a sample keeps of itself: in all, and for each token."""
        both = self.mixing.mixup > 0 and self.mixing.cutmix > 0
        cut = self.mixing.cutmix > 0 and (not both or generator.random() < 0.5)
        alpha = self.mixing.cutmix if cut else self.mixing.mixup
        ratio = float(generator.beta(alpha, alpha))
        first = sum(packed.lengths[:sequence])
        positions = packed.positions[:, first : first + packed.lengths[sequence]]
        if not cut:
            return ratio, torch.full((positions.shape[1],), ratio)
        keep = ~box(positions, 1 - ratio, generator)
        return float(keep.float().mean()), keep.float()


def _can_blend(task: Task) -> TypeGuard[Classification | MultiLabelClassification]:
    """Returns whether the targets of a task are classes, so that they can be blended."""
    return isinstance(task, Classification | MultiLabelClassification)


def box(
    positions: Float[Tensor, "P n"], ratio: float, generator: np.random.Generator
) -> Bool[Tensor, " n"]:
    """Returns which tokens are inside a random box that covers about `ratio` of the positions."""
    inside = torch.ones(positions.shape[1], dtype=torch.bool)
    low, high = positions.amin(1), positions.amax(1)
    varying = max(1, int((high > low).sum()))
    for axis in range(len(positions)):
        if high[axis] == low[axis]:
            continue
        size = float(high[axis] - low[axis] + 1)
        half = size * ratio ** (1 / varying) / 2
        centre = float(low[axis]) - 0.5 + size * generator.random()
        inside &= (positions[axis] - centre).abs() < half
    return inside


def alike(packed: Features, allowed: Sequence[bool]) -> list[int]:
    """Returns the largest group of allowed sequences whose tokens have the same positions."""
    spans = np.cumsum([0, *packed.lengths])
    groups: dict[bytes, list[int]] = {}
    for sequence, fits in enumerate(allowed):
        if fits and packed.lengths[sequence]:
            positions = packed.positions[:, spans[sequence] : spans[sequence + 1]]
            groups.setdefault(positions.contiguous().numpy().tobytes(), []).append(sequence)
    return max(groups.values(), key=len, default=[])


def blend(
    packed: Features,
    chosen: Sequence[int],
    partners: Sequence[int],
    keep: Float[Tensor, " n"],
) -> Features:
    """Blends each chosen sequence with its partner; `keep` is the ratio that each token keeps."""
    parts = list(packed.rows.split(packed.lengths))
    blended = list(parts)
    for sequence, partner in zip(chosen, partners, strict=True):
        blended[sequence] = torch.lerp(parts[partner], parts[sequence], keep[:, None])
    return replace(packed, values=torch.cat(blended).mT)


def blend_targets(
    target: Shaped[Tensor, "S *C"],
    num_classes: int,
    chosen: Sequence[int],
    partners: Sequence[int],
    ratio: float,
) -> Float[Tensor, "S C"]:
    """Returns the targets as probabilities of classes, blended like the samples."""
    if target.ndim == 1:
        target = torch.nn.functional.one_hot(target, num_classes)
    soft = target.float()
    blended = soft.clone()
    blended[list(chosen)] = ratio * soft[list(chosen)] + (1 - ratio) * soft[list(partners)]
    return blended
