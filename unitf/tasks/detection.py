"""Detection: which objects a sample shows, and where."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from unitf.batch import EncodedSample, Sample, TaskBatch
from unitf.errors import UserError
from unitf.nn.initialisation import initialise
from unitf.tasks.classification import Label, LabelledTask, as_label
from unitf.tasks.common.boxes import generalised_overlap, match, to_centres, to_corners
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import Tokenizers
from unitf.tokens import Tokens


class Layers(nn.Module):
    """Linear layers with ReLU between them; the last gives `size` numbers."""

    def __init__(self, dim: int, size: int, depth: int = 3) -> None:
        super().__init__()
        widths = [dim] * depth + [size]
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        initialise(self)

    def forward(self, rows: Float[Tensor, "N D"]) -> Float[Tensor, "N size"]:
        *inner, last = self.layers
        for layer in inner:
            rows = functional.relu(layer(rows))
        return last(rows)


class Detection(LabelledTask):
    """Each of Q learned columns is one object with its box, or none (Carion et al., 2020).

    The target of a sample is a dictionary: `labels`, and `boxes` as (left, top, right, bottom),
    in shares of the whole image from 0 to 1. So a tokenizer must show the whole image, whatever
    its aspect, and training must not move what it shows. The loss is DETR's: the columns are
    matched to the objects at the least cost. Boxes count by the mean over a process's objects.

    Args:
        num_objects: Q, the most objects of a sample.
        classes: the names of the classes; by default those of the training samples, sorted.
        columns: [first, last) of each sequence: those that are read, where a tokenizer's prefix
            has brought them; None: the task puts learned columns of its own before each sequence.
        nothing_weight: how much a column that is no object counts in the cross-entropy.
        box_weight: of the distance of two boxes (the sum over their four numbers).
        overlap_weight: of what their generalised overlap lacks to 1.
        threshold: predictions that are less probable are left out.
    """

    monitor = "map"
    mode = "max"

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
        super().__init__(inputs, target, classes, weight=weight)
        if num_objects < 1:
            raise UserError(f"num_objects: expected 1 or more, found {num_objects}")
        if columns is not None and columns[-1] - columns[0] != num_objects:
            raise UserError(f"columns {columns} are not the {num_objects} of num_objects")
        self.num_objects = num_objects
        self.columns = columns
        self.nothing_weight = nothing_weight
        self.box_weight = box_weight
        self.overlap_weight = overlap_weight
        self.threshold = threshold
        self.tokens: nn.Parameter | None = None

    # ---- targets -----------------------------------------------------------------------

    def _learn(self, names: list[Label]) -> None:
        if not names:
            raise UserError(f"target {self.target!r}: no training sample shows an object")
        self.fitted = {"classes": names}

    def labels(self, value: Any) -> list[Label]:
        labels = self._of(value, "labels")
        if not isinstance(labels, Iterable) or isinstance(labels, str):
            raise UserError(f"target {self.target!r}: expected labels in a list, found {labels!r}")
        return [as_label(label) for label in labels]

    def _of(self, value: Any, name: str) -> Any:
        if not isinstance(value, Mapping) or not {"labels", "boxes"} <= value.keys():
            raise UserError(
                f"target {self.target!r}: expected a dictionary of labels and boxes, found "
                f"{type(value).__name__} {str(value)[:60]!r}"
            )
        return value[name]

    def encode_token_target(self, encoding: EncodedSample, sample_info: Any) -> dict[str, Tensor]:
        moving = [column for column, used in encoding.inputs.items() if used.moves]
        if encoding.train and moving:
            raise UserError(
                f"{moving[0]}: its augmentation moves what the boxes of {self.target!r} are about; "
                "expected one that changes colours alone"
            )
        return self.encode_target(encoding.sample)

    def encode_target(self, sample: Sample) -> dict[str, Tensor]:
        """The numbers of the classes (n,), and the boxes (n, 4) by centre and size."""
        value = sample[self.target]  # type: ignore[index]
        labels = [self.number(label) for label in self.labels(value)]
        try:
            boxes = torch.as_tensor(self._of(value, "boxes"), dtype=torch.float32)
        except (TypeError, ValueError) as error:
            raise UserError(f"target {self.target!r}: boxes: {error}") from None
        boxes = boxes.reshape(0, 4) if boxes.numel() == 0 else boxes
        if boxes.shape != (len(labels), 4):
            raise UserError(
                f"target {self.target!r}: {len(labels)} labels need boxes of {len(labels)}×4, "
                f"found {'×'.join(map(str, boxes.shape))}"
            )
        sides = boxes[:, 2:] - boxes[:, :2]
        if not ((boxes >= 0) & (boxes <= 1)).all() or (sides < 0).any():
            raise UserError(
                f"target {self.target!r}: boxes are left, top, right, bottom in shares of the "
                f"image from 0 to 1, found {boxes.tolist()[:3]}"
            )
        if len(labels) > self.num_objects:
            raise UserError(
                f"target {self.target!r}: {len(labels)} objects, expected at most "
                f"{self.num_objects} (num_objects)"
            )
        return {"labels": torch.tensor(labels, dtype=torch.int64), "boxes": to_centres(boxes)}

    def collate(self, targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor] | None:
        """The objects of all samples, one after the other, and how many each has."""
        if not targets:
            return None
        counts = [len(target["labels"]) for target in targets]
        joined = {name: torch.cat([t[name] for t in targets]) for name in ("labels", "boxes")}
        return {**joined, "counts": torch.tensor(counts)}

    # ---- on the device -----------------------------------------------------------------

    def make_parameters(self, dim: int) -> None:
        self.class_head = Layers(dim, self.num_classes + 1)
        self.box_head = Layers(dim, 4)
        if self.columns is None:
            self.tokens = nn.Parameter(torch.empty(self.num_objects, dim))
            nn.init.trunc_normal_(self.tokens, std=0.02, a=-0.04, b=0.04)

    def join_inputs(self, parts: Sequence[Tokens]) -> Tokens:
        if self.tokens is None:
            return Tokens.concat(parts)
        count, first = parts[0].num_sequences, parts[0]
        rows = self.tokens.to(first.matrix.dtype).expand(count, -1, -1).flatten(0, 1)
        positions = first.positions.new_zeros(len(first.positions), len(rows))
        own = Tokens.from_rows(rows, [self.num_objects] * count, positions)
        return Tokens.concat([own, *parts])

    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "S Q C5"]:
        """For each column the logits of the classes, that of no object, and the box."""
        first, last = self.columns or (0, self.num_objects)
        read = columns.within(first, last)
        rows = read.rows
        if any(length != self.num_objects for length in read.lengths):
            raise UserError(
                f"Detection reads columns {first} to {last} of each sequence, found a sequence "
                f"of {min(columns.lengths)} columns"
            )
        boxes = self.box_head(rows).float().sigmoid()
        read_all = torch.cat([self.class_head(rows).float(), boxes], dim=1)
        return read_all.unflatten(0, (-1, self.num_objects))

    def losses(
        self, output: Float[Tensor, "S Q C5"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " S"]:
        """DETR's loss is the mean of these: both are weighted by all objects of the batch."""
        if not batch.num_samples:
            return output.flatten(1).sum(1)
        logits, boxes = output[..., :-4], output[..., -4:]
        size = len(output)
        wanted = torch.full(logits.shape[:2], self.num_classes, device=logits.device)
        distances = []
        for number, target in enumerate(self._targets(batch)):
            which, objects = match(self._costs(logits[number], boxes[number], target))
            wanted[number, which] = target["labels"][objects]
            found, true = boxes[number, which], target["boxes"][objects]
            overlap = generalised_overlap(to_corners(found), to_corners(true))
            distance = self.box_weight * (found - true).abs().sum()
            distances.append(distance + self.overlap_weight * (1 - overlap).sum())
        weights = torch.ones(self.num_classes + 1, device=logits.device)
        weights[-1] = self.nothing_weight
        entropy = functional.cross_entropy(logits.mT, wanted, weights, reduction="none").sum(1)
        num_objects = max(1, len(batch.target["labels"]))
        return size * (entropy / weights[wanted].sum() + torch.stack(distances) / num_objects)

    def _costs(
        self,
        logits: Float[Tensor, "Q C1"],
        boxes: Float[Tensor, "Q 4"],
        target: Mapping[str, Tensor],
    ) -> Float[Tensor, "Q n"]:
        """How little each column fits each object."""
        found, true = boxes.detach()[:, None], target["boxes"][None]
        probable = logits.detach().softmax(1)[:, target["labels"]]
        distance = (found - true).abs().sum(-1)
        overlap = generalised_overlap(*torch.broadcast_tensors(to_corners(found), to_corners(true)))
        return self.box_weight * distance - self.overlap_weight * overlap - probable

    def _targets(self, batch: TaskBatch) -> list[dict[str, Tensor]]:
        """The objects of each sample."""
        counts = batch.target["counts"].tolist()
        labels, boxes = (batch.target[name].split(counts) for name in ("labels", "boxes"))
        return [{"labels": one, "boxes": two} for one, two in zip(labels, boxes, strict=True)]

    # ---- for a person ------------------------------------------------------------------

    def metrics(self) -> TaskMetrics:
        from unitf.tasks.metrics.average_precision import AveragePrecision
        from unitf.tasks.metrics.task_metrics import TaskMetrics

        return TaskMetrics({"map": AveragePrecision()})

    def update_metrics(
        self,
        metrics: TaskMetrics,
        output: Float[Tensor, "S Q C5"],
        batch: TaskBatch,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        """Mean average precision over classes and overlaps, as COCO has it."""
        if not len(sequences):
            return
        probabilities, boxes = self._found(output)
        highest, indices = probabilities.max(-1)
        targets = self._targets(batch)
        metrics["map"].update(
            [{"boxes": boxes[s], "scores": highest[s], "labels": indices[s]} for s in sequences],
            [
                {"boxes": to_corners(targets[s]["boxes"]), "labels": targets[s]["labels"]}
                for s in sequences
            ],
        )
        everyone = torch.empty(len(sequences))
        metrics["num_samples"].update(everyone, everyone)

    def predict(
        self, output: Float[Tensor, "S Q C5"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[dict[str, Any]]:
        """The objects of each sample, the most probable first."""
        probabilities, boxes = self._found(output)
        predictions = []
        for chances, corners in zip(probabilities, boxes, strict=True):
            highest, numbers = chances.max(1)
            order = highest.argsort(descending=True)
            kept = [int(row) for row in order if highest[row] >= self.threshold]
            predictions.append(
                {
                    "objects": [
                        {
                            "label": self.classes[int(numbers[row])],
                            "probability": highest[row].item(),
                            "box": corners[row].tolist(),
                        }
                        for row in kept
                    ]
                }
            )
        return predictions

    def _found(self, output: Float[Tensor, "S Q C5"]) -> tuple[Tensor, Tensor]:
        """The probabilities of the classes (S, Q, C), and the corners of the boxes (S, Q, 4)."""
        probabilities = output[..., :-4].softmax(-1)[..., :-1]
        return probabilities, to_corners(output[..., -4:]).clamp(0, 1)
