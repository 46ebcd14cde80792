"""Detection: which objects a sample shows, and where."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from unitf.batch import Sample, TaskBatch
from unitf.errors import UserError
from unitf.tasks.common.boxes import generalised_overlap, match, to_corners
from unitf.tasks.common.label_names import Label
from unitf.tasks.common.located_objects import Found, LocatedObjects
from unitf.tasks.heads.layers import Layers
from unitf.tasks.task import Tokenizers
from unitf.tokens import Tokens

TINY: float = 1e-12  # a sum of weights is not below it


class Detection(LocatedObjects):
    """Each of Q learned columns predicts one object with its box, or none (Carion et al., 2020).

    The target is that of LocatedObjects. The loss is DETR's: columns and objects are matched at
    the least cost. The loss of boxes is a mean over the objects of the whole optimizer step.

    Args:
        num_objects: Q, the largest number of objects in a sample.
        classes: the names of the classes; None: those of the training samples, sorted.
        columns: the columns [first, last) of each sequence that predict objects, where a
            tokenizer's prefix brings them; None: the task puts learned columns before each
            sequence.
        nothing_weight: the weight of a column that matches no object, in the cross-entropy.
        box_weight: the weight of the distance of two boxes (the sum over their four numbers).
        overlap_weight: the weight of 1 minus the generalised overlap of two boxes.
        threshold: less probable predictions are left out.
    """

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        num_objects: int = 100,
        classes: Sequence[Label] | None = None,
        columns: list[int] | None = None,
        nothing_weight: float = 0.1,
        box_weight: float = 5.0,
        overlap_weight: float = 2.0,
        threshold: float = 0.5,
        weight: float = 1.0,
    ) -> None:
        super().__init__(inputs, target, classes, threshold, weight)
        if num_objects < 1:
            raise UserError(f"num_objects: expected 1 or more, found {num_objects}")
        if columns is not None and columns[-1] - columns[0] != num_objects:
            raise UserError(
                f"columns {columns} are not the {num_objects} columns that num_objects says"
            )
        self.num_objects: int = num_objects
        self.columns: list[int] | None = columns
        self.nothing_weight: float = nothing_weight
        self.box_weight: float = box_weight
        self.overlap_weight: float = overlap_weight
        self.tokens: nn.Parameter | None = None

    # ---- targets -----------------------------------------------------------------------

    def encode_target(self, sample: Sample) -> dict[str, Tensor]:
        """Returns labels, boxes by centre and size, and which are crowds.

        Raises:
            UserError: the target is not right, or has too many objects.
        """
        target = super().encode_target(sample)
        if (count := int((~target["crowd"]).sum())) > self.num_objects:
            raise UserError(
                f"target {self.target!r}: {count} objects, expected at most "
                f"{self.num_objects} (num_objects)"
            )
        return target

    # ---- on the device -----------------------------------------------------------------

    def make_parameters(self, dim: int) -> None:
        """Creates the heads and, unless `columns` are given, the learned columns."""
        self.class_head: Layers = Layers(dim, self.num_classes + 1)
        self.box_head: Layers = Layers(dim, 4)
        if self.columns is None:
            self.tokens = nn.Parameter(torch.empty(self.num_objects, dim))
            nn.init.trunc_normal_(self.tokens, std=0.02, a=-0.04, b=0.04)

    def join_inputs(self, parts: Sequence[Tokens]) -> Tokens:
        """Joins the inputs, with the learned columns, if there are any, before them."""
        if self.tokens is None:
            return Tokens.concat(parts)
        count, first = parts[0].num_sequences, parts[0]
        rows = self.tokens.to(first.matrix.dtype).expand(count, -1, -1).flatten(0, 1)
        positions = first.positions.new_zeros(len(first.positions), len(rows))
        learned = Tokens.from_rows(rows, [self.num_objects] * count, positions)
        return Tokens.concat([learned, *parts])

    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "S Q C5"]:
        """Returns for each column the logits of the classes, the logit of no object, and the box.

        Raises:
            UserError: a sequence has too few columns.
        """
        first, last = self.columns or (0, self.num_objects)
        selected = columns.within(first, last)
        rows = selected.rows
        if any(length != self.num_objects for length in selected.lengths):
            raise UserError(
                f"Detection reads columns {first} to {last} of each sequence, found a sequence "
                f"of {min(columns.lengths)} columns"
            )
        boxes = self.box_head(rows).float().sigmoid()
        logits_and_boxes = torch.cat([self.class_head(rows).float(), boxes], dim=1)
        return logits_and_boxes.unflatten(0, (-1, self.num_objects))

    def losses(
        self, output: Float[Tensor, "S Q C5"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " S"]:
        """Returns a loss for each sample; their mean over a step is DETR's loss of all of it."""
        if not batch.num_samples:
            return output.flatten(1).sum(1)
        logits, boxes = output[..., :-4], output[..., -4:]
        classes = torch.full(logits.shape[:2], self.num_classes, device=logits.device)
        distances = []
        for number, target in enumerate(self._targets(batch)):
            matched, objects = match(self._costs(logits[number], boxes[number], target))
            classes[number, matched] = target["labels"][objects]
            predicted, true = boxes[number, matched], target["boxes"][objects]
            overlap = generalised_overlap(to_corners(predicted), to_corners(true))
            distance = self.box_weight * (predicted - true).abs().sum()
            distances.append(distance + self.overlap_weight * (1 - overlap).sum())
        weights = torch.ones(self.num_classes + 1, device=logits.device)
        weights[-1] = self.nothing_weight
        entropy = functional.cross_entropy(logits.mT, classes, weights, reduction="none").sum(1)
        total = self.counts(batch, tokenizers) if batch.step is None else batch.step.total
        others = total.samples * self.num_objects - total.objects
        total_weight = total.objects + self.nothing_weight * others
        distance = torch.stack(distances) / max(1, total.objects)
        return total.samples * (entropy / max(total_weight, TINY) + distance)

    def _costs(
        self,
        logits: Float[Tensor, "Q C1"],
        boxes: Float[Tensor, "Q 4"],
        target: Mapping[str, Tensor],
    ) -> Float[Tensor, "Q n"]:
        """Returns the cost of matching each column to each object."""
        predicted, true = boxes.detach()[:, None], target["boxes"][None]
        probability = logits.detach().softmax(1)[:, target["labels"]]
        distance = (predicted - true).abs().sum(-1)
        corners = torch.broadcast_tensors(to_corners(predicted), to_corners(true))
        overlap = generalised_overlap(*corners)
        return self.box_weight * distance - self.overlap_weight * overlap - probability

    def _targets(self, batch: TaskBatch) -> list[dict[str, Tensor]]:
        """Returns the objects of each sample that are matched; crowds are not."""
        return [
            {name: part[~one["crowd"]] for name, part in one.items()} for one in self.objects(batch)
        ]

    def found(
        self, output: Float[Tensor, "S Q C5"], batch: TaskBatch, sequences: Sequence[int]
    ) -> list[Found]:
        """Returns the object of each column, with its most probable class."""
        logits, boxes = output[..., :-4], to_corners(output[..., -4:]).clamp(0, 1)
        highest, labels = logits.softmax(-1)[..., :-1].max(-1)
        orders = highest.argsort(descending=True, stable=True)
        return [
            Found(*(part[number][orders[number]] for part in (labels, highest, boxes)))
            for number in sequences
        ]
