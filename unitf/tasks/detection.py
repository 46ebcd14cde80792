"""Detection: which objects a sample shows, and where."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from unitf.batch import Counts, EncodedSample, Sample, TaskBatch
from unitf.errors import UserError
from unitf.features import FileContent
from unitf.tasks.common.boxes import generalised_overlap, match, to_centres, to_corners
from unitf.tasks.common.drawings import with_boxes
from unitf.tasks.common.label_names import Label, as_label
from unitf.tasks.common.labelled_task import LabelledTask
from unitf.tasks.heads.layers import Layers
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import Prediction, SampleInfo, Tokenizers
from unitf.tokenizer.located_targets import Boxes
from unitf.tokens import Tokens

TINY: float = 1e-12  # a sum of weights is not below it


class Detection(LabelledTask):
    """Each of Q learned columns predicts one object with its box, or none (Carion et al., 2020).

    The target of a sample is a dictionary: `labels`, and `boxes` as (left, top, right, bottom),
    in fractions of the image's width and height from 0 to 1. Boxes move with the image: in
    training, and where a tokenizer shows a part of it. What is predicted and measured is in
    fractions of the image as it was encoded. The loss is DETR's: columns and objects are matched
    at the least cost. The loss of boxes is a mean over the objects of the whole optimizer step.

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

    monitor = "map"
    mode = "max"
    in_place = True

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
            raise UserError(
                f"columns {columns} are not the {num_objects} columns that num_objects says"
            )
        self.num_objects: int = num_objects
        self.columns: list[int] | None = columns
        self.nothing_weight: float = nothing_weight
        self.box_weight: float = box_weight
        self.overlap_weight: float = overlap_weight
        self.threshold: float = threshold
        self.tokens: nn.Parameter | None = None

    # ---- targets -----------------------------------------------------------------------

    def _learn(self, names: list[Label]) -> None:
        if not names:
            raise UserError(f"target {self.target!r}: no training sample shows an object")
        self.fitted: dict[str, object] = {"classes": names}

    def labels(self, value: object) -> list[Label]:
        """Returns the class of each object in a raw target."""
        labels = self._field(value, "labels")
        if not isinstance(labels, Iterable) or isinstance(labels, str):
            raise UserError(f"target {self.target!r}: expected labels in a list, found {labels!r}")
        return [as_label(label) for label in labels]

    def _field(self, value: object, name: str) -> object:
        if not isinstance(value, Mapping) or not {"labels", "boxes"} <= value.keys():
            raise UserError(
                f"target {self.target!r}: expected a dictionary of labels and boxes, found "
                f"{type(value).__name__} {str(value)[:60]!r}"
            )
        return value[name]

    def located(self, sample: Sample) -> Boxes:
        """Returns the boxes, which move with the image."""
        return Boxes(to_corners(self.encode_target(sample)["boxes"]).numpy())

    def encode_token_target(
        self, encoding: EncodedSample, sample_info: SampleInfo
    ) -> dict[str, Tensor]:
        """Returns the objects that are left in the image as it was encoded, where they are now."""
        target = self.encode_target(encoding.sample)
        if not isinstance(encoding.located, Boxes):
            return target
        labels = target["labels"][torch.from_numpy(encoding.located.kept)]
        boxes = torch.from_numpy(encoding.located.values).float()
        return {"labels": labels, "boxes": to_centres(boxes)}

    def encode_target(self, sample: Sample) -> dict[str, Tensor]:
        """Returns the indices of the classes (n,), and the boxes (n, 4) by centre and size.

        Raises:
            UserError: labels and boxes do not fit each other, or a box is not in the image.
        """
        value = self._raw_target(sample)
        labels = [self.number(label) for label in self.labels(value)]
        try:
            boxes = torch.as_tensor(self._field(value, "boxes"), dtype=torch.float32)
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
                f"target {self.target!r}: boxes are left, top, right, bottom in fractions of "
                f"the image from 0 to 1, found {boxes.tolist()[:3]}"
            )
        if len(labels) > self.num_objects:
            raise UserError(
                f"target {self.target!r}: {len(labels)} objects, expected at most "
                f"{self.num_objects} (num_objects)"
            )
        return {"labels": torch.tensor(labels, dtype=torch.int64), "boxes": to_centres(boxes)}

    def collate(self, targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor] | None:
        """Joins the objects of all samples; "counts" says how many each sample has."""
        if not targets:
            return None
        counts = [len(target["labels"]) for target in targets]
        joined = {name: torch.cat([t[name] for t in targets]) for name in ("labels", "boxes")}
        return {**joined, "counts": torch.tensor(counts)}

    def counts(self, batch: TaskBatch, tokenizers: Tokenizers) -> Counts:
        """Returns what is summed over an optimizer step: also the number of objects."""
        objects = 0 if batch.target is None else len(batch.target["labels"])
        return super().counts(batch, tokenizers)._replace(objects=objects)

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
        """Returns the objects of each sample."""
        counts = batch.target["counts"].tolist()
        labels, boxes = (batch.target[name].split(counts) for name in ("labels", "boxes"))
        return [{"labels": one, "boxes": two} for one, two in zip(labels, boxes, strict=True)]

    # ---- for a person ------------------------------------------------------------------

    def metrics(self) -> TaskMetrics:
        """Creates COCO's mean average precision."""
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
        """Updates the mean average precision with the boxes and their most probable classes."""
        if not len(sequences):
            return
        probabilities, boxes = self._detected(output)
        highest, indices = probabilities.max(-1)
        targets = self._targets(batch)
        metrics["map"].update(
            [{"boxes": boxes[s], "scores": highest[s], "labels": indices[s]} for s in sequences],
            [
                {"boxes": to_corners(targets[s]["boxes"]), "labels": targets[s]["labels"]}
                for s in sequences
            ],
        )
        rows = torch.empty(len(sequences))
        metrics["num_samples"].update(rows, rows)

    def predict(
        self, output: Float[Tensor, "S Q C5"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[Prediction]:
        """Returns the objects of each sample, the most probable first."""
        probabilities, boxes = self._detected(output)
        predictions = []
        for sample_probabilities, corners in zip(probabilities, boxes, strict=True):
            highest, indices = sample_probabilities.max(1)
            order = highest.argsort(descending=True)
            kept = [int(row) for row in order if highest[row] >= self.threshold]
            predictions.append(
                {
                    "objects": [
                        {
                            "label": self.classes[int(indices[row])],
                            "probability": highest[row].item(),
                            "box": corners[row].tolist(),
                        }
                        for row in kept
                    ]
                }
            )
        return predictions

    def prediction_files(
        self, prediction: Prediction, sample: Sample, tokenizers: Tokenizers
    ) -> dict[str, FileContent]:
        """Returns the picture as the model reads it, with the objects that were found."""
        [(column, used)] = list(self.inputs.items())[:1]
        value = sample.get(column)
        features = None if value is None else tokenizers[used].encode(value, False)
        canvas = None if features is None else tokenizers[used].canvas(features)
        if canvas is None:
            return {}
        objects = prediction["objects"]
        labels = [f"{one['label']} {one['probability']:.2f}" for one in objects]
        kinds = [self.classes.index(one["label"]) for one in objects]
        boxes = [one["box"] for one in objects]
        return {"picture": (".png", with_boxes(canvas.pixels, boxes, labels, kinds))}

    def _detected(self, output: Float[Tensor, "S Q C5"]) -> tuple[Tensor, Tensor]:
        """Returns the probabilities of the classes (S, Q, C) and the boxes by corners (S, Q, 4)."""
        probabilities = output[..., :-4].softmax(-1)[..., :-1]
        return probabilities, to_corners(output[..., -4:]).clamp(0, 1)
