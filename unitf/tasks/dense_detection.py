"""DenseDetection: each point of an image says whether an object is there, and where it ends."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from unitf.batch import EncodedSample, TaskBatch
from unitf.errors import UserError
from unitf.proposal import Column, Proposal
from unitf.tasks.common.assignment import Assigned, assign
from unitf.tasks.common.boxes import distinct, generalised_overlap, to_corners
from unitf.tasks.common.label_names import Label
from unitf.tasks.common.located_objects import Found, LocatedObjects
from unitf.tasks.common.recognised_targets import propose_objects
from unitf.tasks.common.token_offsets import input_rows
from unitf.tasks.heads.point_head import Grid, PointHead
from unitf.tasks.task import Tokenizers
from unitf.tokens import Tokens

_FURTHEST = 8.0  # the logarithm of a distance, in points: of an image of 3,000 points
_LEAST = 0.001  # less probable objects are no candidates …
_CANDIDATES = 1000  # … nor are more than so many of a sample
_MOST = 100  # objects of a sample that COCO's precision counts


class _Points(NamedTuple):
    """What the points of one sample say.

    Args:
        logits: of each class at each point.
        boxes: by corners, in points from the sample's first corner.
        centres: (x, y) of each point.
        size: (width, height) of the sample, in points.
    """

    logits: Float[Tensor, "m C"]
    boxes: Float[Tensor, "m 4"]
    centres: Float[Tensor, "m 2"]
    size: Float[Tensor, " 2"]


class DenseDetection(LocatedObjects):
    """Each column predicts a class and a box at several points of its own (a dense head).

    It learns from few images what DETR's Detection learns from many. A point predicts the
    distances to the four sides of its object (FCOS, Tian et al., 2019); the points that learn an
    object are those that predict it best (TOOD, Feng et al., 2021), and the probability of a class
    is the overlap that is expected. Boxes of one class that overlap much are one object
    (non-maximum suppression). The target is that of LocatedObjects. Losses are means over the
    objects of the whole optimizer step.

    Args:
        inputs: the objects are located in the first column, whose tokens are a grid, as the patches
            of an image; other columns follow in the sequence.
        classes: the names of the classes; None: those of the training samples, sorted.
        fineness: how many points a column has along each axis: 2 are as good as patches of half
            the side.
        width: the width of the head's convolutions.
        depth: the number of its convolutions, for classes and for boxes.
        box_weight: the weight of 1 minus the generalised overlap of two boxes.
        overlap: boxes of one class that overlap more (intersection over union) are one object.
        threshold: less probable predictions are left out.
    """

    fitted_parameters: tuple[str, ...] = ("head.classes.",)
    steady_loss: bool = False  # better boxes raise the probabilities that are asked for

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        classes: Sequence[Label] | None = None,
        fineness: int = 2,
        width: int = 96,
        depth: int = 2,
        box_weight: float = 2.0,
        overlap: float = 0.6,
        threshold: float = 0.3,
        weight: float = 1.0,
    ) -> None:
        super().__init__(inputs, target, classes, threshold, weight)
        for name, value in (("fineness", fineness), ("width", width), ("depth", depth)):
            if value < 1:
                raise UserError(f"{name}: expected 1 or more, found {value}")
        self.fineness: int = fineness
        self.width: int = width
        self.depth: int = depth
        self.box_weight: float = box_weight
        self.overlap: float = overlap

    @classmethod
    def recognise(cls, target: Column | None, inputs: Sequence[Column]) -> Proposal | None:
        """Recognises a target of objects with their boxes."""
        return None if target is None else propose_objects(target)

    def make_parameters(self, dim: int) -> None:
        """Creates the head."""
        self.head: PointHead = PointHead(
            dim, self.num_classes, self.fineness, self.width, self.depth
        )

    def sample_info(self, encoding: EncodedSample) -> Grid:
        """Returns the rows and columns of the tokens in which objects are located.

        Raises:
            UserError: the tokens are no whole grid.
        """
        column = next(iter(self.inputs))
        features = encoding.features.get(column)
        if features is None:
            return (0, 0)
        axes = [len(axis.unique()) for axis in features.positions]
        axes = [1, *axes] if len(axes) == 1 else axes  # a sequence is a grid of one row
        if len(axes) != 2 or axes[0] * axes[1] != features.num_tokens:
            raise UserError(
                f"{column}: DenseDetection locates objects in a whole grid of tokens, found "
                f"{features.num_tokens} tokens with {'×'.join(map(str, axes))} positions"
            )
        return axes[0], axes[1]

    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "M C4"]:
        """Returns for each point the logits of the classes, and the logarithms of four distances.

        The points of a sample are row by row, from the left to the right.
        """
        column = next(iter(self.inputs))
        rows = input_rows(columns, batch, self.inputs, tokenizers, column)
        return self.head(rows, batch.sample_infos).float()

    def losses(
        self, output: Float[Tensor, "M C4"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " S"]:
        """Returns a loss for each sample; their mean over a step is a mean over its objects."""
        if not batch.num_samples:
            return output.sum(1)[:0]
        total = self.counts(batch, tokenizers) if batch.step is None else batch.step.total
        losses = [
            self._loss(points, target)
            for points, target in zip(self._points(output, batch), self.objects(batch), strict=True)
        ]
        return total.samples / max(1, total.objects) * torch.stack(losses)

    def _loss(self, points: _Points, target: dict[str, Tensor]) -> Float[Tensor, ""]:
        """Returns the loss of one sample, summed over its objects."""
        counted = ~target["crowd"]
        boxes = to_corners(target["boxes"]) * points.size.repeat(2)
        objects, labels = boxes[counted], target["labels"][counted]
        wanted = torch.zeros_like(points.logits)
        weight = self._outside(points.centres, boxes[~counted])[:, None].expand_as(wanted).clone()
        box_loss = points.boxes.sum() * 0
        if len(objects) and len(points.logits):
            assigned = assign(
                points.logits.sigmoid(), points.boxes, points.centres, labels, objects
            )
            wanted[assigned.points, labels[assigned.objects]] = assigned.quality
            weight[assigned.points] = 1.0
            box_loss = self._box_loss(points, objects, assigned)
        entropy = functional.binary_cross_entropy_with_logits(
            points.logits, wanted, weight, reduction="sum"
        )
        return entropy + self.box_weight * box_loss

    def _box_loss(
        self, points: _Points, objects: Float[Tensor, "n 4"], assigned: Assigned
    ) -> Float[Tensor, ""]:
        overlap = generalised_overlap(points.boxes[assigned.points], objects[assigned.objects])
        return (assigned.quality * (1 - overlap)).sum()

    @staticmethod
    def _outside(
        centres: Float[Tensor, "m 2"], crowds: Float[Tensor, "n 4"]
    ) -> Float[Tensor, " m"]:
        """Returns 0 for the points in a crowd, where nothing is right or wrong, and 1 elsewhere."""
        after, before = centres - crowds[:, None, :2], crowds[:, None, 2:] - centres
        inside = (torch.cat([after, before], dim=2) > 0).all(2).any(0)
        return (~inside).float()

    def _points(self, output: Float[Tensor, "M C4"], batch: TaskBatch) -> list[_Points]:
        """Returns what the points of each sample say."""
        fine = self.fineness
        counts = [rows * columns * fine**2 for rows, columns in batch.sample_infos]
        found = []
        for grid, rows in zip(batch.sample_infos, output.split(counts), strict=True):
            height, width = (side * fine for side in grid)
            y, x = (torch.arange(side, device=output.device) + 0.5 for side in (height, width))
            centres = torch.cartesian_prod(y, x).flip(1)
            distances = rows[:, -4:].clamp(max=_FURTHEST).exp()
            corners = torch.cat([centres - distances[:, :2], centres + distances[:, 2:]], dim=1)
            size = centres.new_tensor([width, height])
            found.append(_Points(rows[:, :-4], corners, centres, size))
        return found

    # ---- for a person ------------------------------------------------------------------

    def found(
        self, output: Float[Tensor, "M C4"], batch: TaskBatch, sequences: Sequence[int]
    ) -> list[Found]:
        """Returns the objects of some samples, each once (non-maximum suppression)."""
        points = self._points(output, batch)
        return [self._objects(points[number]) for number in sequences]

    def _objects(self, points: _Points) -> Found:
        probabilities = points.logits.sigmoid().flatten()
        best = probabilities.topk(min(_CANDIDATES, len(probabilities)))
        candidates = best.indices[best.values >= _LEAST]
        numbers, labels = candidates // self.num_classes, candidates % self.num_classes
        size = points.size.repeat(2)
        boxes = (points.boxes[numbers] / size).clamp(0, 1)
        kept = distinct(boxes, probabilities[candidates], labels, self.overlap)[:_MOST]
        return Found(labels[kept], probabilities[candidates][kept], boxes[kept])
