"""Mixup and cutmix: training samples that are blends of two, with targets that say so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from unitf.batch import Batch, TaskBatch
from unitf.data.encoder import Item
from unitf.data.seeding import mix
from unitf.errors import UserError, did_you_mean
from unitf.tasks.classification import Classification, MultiLabelClassification
from unitf.tokens import Features


@dataclass(frozen=True)
class Mixing:
    """How often and how strongly the samples of a training batch are blended in pairs.

    Mixup (Zhang et al., 2018) blends all numbers; cutmix (Yun et al., 2019) takes the tokens
    within a box of the position axes from the other sample. Samples take part that have only the
    one column, with as many tokens at the same places as most others, and a class as target.

    Args:
        mixup: α of the Beta(α, α) from which the share is drawn; 0 for none.
        cutmix: the same for cutmix; with both, each batch has one of them.
        probability: of a batch to be blended at all.
        columns: which columns; by default all whose tokens are vectors of numbers.
        tasks: whose samples; by default those of every Classification and
            MultiLabelClassification, as a blend of boxes or of the labels of tokens means nothing.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    probability: float = 1.0
    columns: list[str] | None = None
    tasks: list[str] | None = None


class BatchMixing:
    """Applies a Mixing, as a pure function of seed, epoch and the samples of the batch."""

    def __init__(self, mixing: Mixing, tasks: Mapping[str, Any], seed: int) -> None:
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
        self.mixing = mixing
        self.seed = seed
        wanted = list(tasks) if mixing.tasks is None else mixing.tasks
        self.num_classes = {
            name: tasks[name].num_classes for name in wanted if _can_blend(tasks[name])
        }

    def __call__(self, batch: Batch, items: Sequence[Item]) -> Batch:
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
            share, mask = self._draw(packed, chosen[0], generator)
            features[column] = blend(packed, chosen, partners, mask)
            target = blend_targets(target, num_classes, chosen, partners, share)
        return replace(batch, features=features, target=target)

    def _draw(
        self, packed: Features, sequence: int, generator: np.random.Generator
    ) -> tuple[float, Float[Tensor, " n"]]:
        """The share that a sample keeps of itself: in all, and of each of its tokens."""
        both = self.mixing.mixup > 0 and self.mixing.cutmix > 0
        cut = self.mixing.cutmix > 0 and (not both or generator.random() < 0.5)
        alpha = self.mixing.cutmix if cut else self.mixing.mixup
        share = float(generator.beta(alpha, alpha))
        first = sum(packed.lengths[:sequence])
        positions = packed.positions[:, first : first + packed.lengths[sequence]]
        if not cut:
            return share, torch.full((positions.shape[1],), share)
        keep = ~box(positions, 1 - share, generator)
        return float(keep.float().mean()), keep.float()


def _can_blend(task: Any) -> bool:
    """Whether a sample's target is one class or one row of classes, and may be a share of each."""
    return isinstance(task, Classification | MultiLabelClassification)


def box(
    positions: Float[Tensor, "P n"], share: float, generator: np.random.Generator
) -> Bool[Tensor, " n"]:
    """Which tokens lie in a random box that covers about `share` of the grid of positions."""
    inside = torch.ones(positions.shape[1], dtype=torch.bool)
    low, high = positions.amin(1), positions.amax(1)
    varying = max(1, int((high > low).sum()))
    for axis in range(len(positions)):
        if high[axis] == low[axis]:
            continue
        size = float(high[axis] - low[axis] + 1)
        half = size * share ** (1 / varying) / 2
        centre = float(low[axis]) - 0.5 + size * generator.random()
        inside &= (positions[axis] - centre).abs() < half
    return inside


def alike(packed: Features, allowed: Sequence[bool]) -> list[int]:
    """The allowed sequences that have as many tokens as most, at the same places."""
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
    """Each chosen sequence keeps `keep` of its tokens, and has the rest of its partner's."""
    parts = list(packed.rows.split(packed.lengths))
    blended = list(parts)
    for own, other in zip(chosen, partners, strict=True):
        blended[own] = torch.lerp(parts[other], parts[own], keep[:, None])
    return replace(packed, values=torch.cat(blended).mT)


def blend_targets(
    target: Shaped[Tensor, "S *C"],
    num_classes: int,
    chosen: Sequence[int],
    partners: Sequence[int],
    share: float,
) -> Float[Tensor, "S C"]:
    """Targets as probabilities of classes, blended like the samples."""
    if target.ndim == 1:
        target = torch.nn.functional.one_hot(target, num_classes)
    soft = target.float()
    blended = soft.clone()
    blended[list(chosen)] = share * soft[list(chosen)] + (1 - share) * soft[list(partners)]
    return blended
