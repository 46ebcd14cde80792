"""LocatedObjects: the base class of tasks that say which objects a sample shows, and where."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unitf.batch import Counts, EncodedSample, Sample, TaskBatch
from unitf.errors import UserError
from unitf.features import FileContent
from unitf.tasks.common.boxes import overlaps, to_centres, to_corners
from unitf.tasks.common.drawings import MISSED, with_boxes
from unitf.tasks.common.label_names import Label, LabelNames, as_label
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import Output, Prediction, SampleInfo, Tokenizers
from unitf.tokenizer.located_targets import Boxes

_PARTS = ("labels", "boxes", "crowd")
_FOUND = 0.5  # the overlap from which a box is that of an object


class Found(NamedTuple):
    """The objects that were found in a sample, the most probable first.

    Args:
        labels: the number of the class of each.
        probabilities: of these classes.
        boxes: by corners, in fractions of the sample.
    """

    labels: Int[Tensor, " k"]
    probabilities: Float[Tensor, " k"]
    boxes: Float[Tensor, "k 4"]


class LocatedObjects(LabelNames):
    """The base class of tasks that say which objects a sample shows, and where.

    The target of a sample is a dictionary: `labels`, and `boxes` as (left, top, right, bottom),
    in fractions of the image's width and height from 0 to 1. It may have `crowd`: for each box
    whether it holds a crowd that nobody counted; there it is neither right nor wrong to find
    objects. Boxes move with the image: in training, and where a tokenizer shows a part of it. What
    is predicted and measured is in fractions of the image as it was encoded.

    Args:
        threshold: less probable predictions are left out.
    """

    monitor = "map"
    mode = "max"
    in_place = True
    loss_per_sample: bool = True

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        classes: Sequence[Label] | None,
        threshold: float,
        weight: float,
    ) -> None:
        super().__init__(inputs, target, classes, weight)
        self.threshold: float = threshold

    @abstractmethod
    def found(self, output: Output, batch: TaskBatch, sequences: Sequence[int]) -> list[Found]:
        """Returns the objects that were found in some samples."""

    # ---- targets -----------------------------------------------------------------------

    def _learn(self, names: list[Label]) -> None:
        if not names:
            raise UserError(f"target {self.target!r}: no training sample shows an object")
        self.fitted: dict[str, object] = {"classes": names}

    def fit(self, samples: Iterable[Sample]) -> None:
        """Learns the classes from the training samples, unless they are given."""
        self.learn_from(
            label
            for sample in samples
            if self.accepts(sample)
            for label in self.labels(self._raw_target(sample))
        )

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
        kept = torch.from_numpy(encoding.located.kept)
        boxes = torch.from_numpy(encoding.located.values).float()
        left = {name: values[kept] for name, values in target.items()}
        return {**left, "boxes": to_centres(boxes)}

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
        return {
            "labels": torch.tensor(labels, dtype=torch.int64),
            "boxes": to_centres(boxes),
            "crowd": self._crowd(value, len(labels)),
        }

    def _crowd(self, value: object, count: int) -> Bool[Tensor, " n"]:
        """Returns which boxes hold a crowd; none, where the target does not say it."""
        crowd = value.get("crowd") if isinstance(value, Mapping) else None
        flags = [False] * count if crowd is None else [bool(flag) for flag in crowd]
        if len(flags) != count:
            raise UserError(
                f"target {self.target!r}: {count} labels need {count} values of crowd, "
                f"found {len(flags)}"
            )
        return torch.tensor(flags, dtype=torch.bool)

    def collate(self, targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor] | None:
        """Joins the objects of all samples; "counts" says how many each sample has."""
        if not targets:
            return None
        counts = [len(target["labels"]) for target in targets]
        joined = {name: torch.cat([t[name] for t in targets]) for name in _PARTS}
        return {**joined, "counts": torch.tensor(counts)}

    def counts(self, batch: TaskBatch, tokenizers: Tokenizers) -> Counts:
        """Returns what is summed over an optimizer step: also the number of objects."""
        objects = 0 if batch.target is None else int((~batch.target["crowd"]).sum())
        return super().counts(batch, tokenizers)._replace(objects=objects)

    def objects(self, batch: TaskBatch) -> list[dict[str, Tensor]]:
        """Returns the objects of each sample: labels, boxes (by centre and size) and crowd."""
        counts = batch.target["counts"].tolist()
        parts = [batch.target[name].split(counts) for name in _PARTS]
        return [dict(zip(_PARTS, some, strict=True)) for some in zip(*parts, strict=True)]

    # ---- for a person ------------------------------------------------------------------

    def metrics(self) -> TaskMetrics:
        """Creates COCO's mean average precision."""
        from unitf.tasks.metrics.average_precision import AveragePrecision
        from unitf.tasks.metrics.task_metrics import TaskMetrics

        return TaskMetrics({"map": AveragePrecision()})

    def update_metrics(
        self,
        metrics: TaskMetrics,
        output: Output,
        batch: TaskBatch,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        """Updates the mean average precision with the objects that were found in some samples."""
        if not len(sequences):
            return
        targets = self.objects(batch)
        metrics["map"].update(
            [
                {"boxes": one.boxes, "scores": one.probabilities, "labels": one.labels}
                for one in self.found(output, batch, sequences)
            ],
            [
                {
                    "boxes": to_corners(targets[s]["boxes"]),
                    "labels": targets[s]["labels"],
                    "iscrowd": targets[s]["crowd"].long(),
                }
                for s in sequences
            ],
        )
        rows = torch.empty(len(sequences))
        metrics["num_samples"].update(rows, rows)

    def predict(self, output: Output, batch: TaskBatch, tokenizers: Tokenizers) -> list[Prediction]:
        """Returns the objects of each sample, the most probable first."""
        return [
            {
                "objects": [
                    {"label": self.classes[label], "probability": probability, "box": box}
                    for label, probability, box in zip(*(p.tolist() for p in one), strict=True)
                    if probability >= self.threshold
                ]
            }
            for one in self.found(output, batch, range(batch.num_samples))
        ]

    def prediction_files(
        self, prediction: Prediction, sample: Sample, tokenizers: Tokenizers
    ) -> dict[str, FileContent]:
        """Returns the picture as the model reads it, with what was found, and what was missed.

        An object of the sample's target is missed where no box of its class overlaps it by half.
        """
        [(column, used)] = list(self.inputs.items())[:1]
        value = sample.get(column)
        features = None if value is None else tokenizers[used].encode(value, False)
        canvas = None if features is None else tokenizers[used].canvas(features)
        if canvas is None:
            return {}
        found = prediction["objects"]
        missed = self._missed(found, sample)
        labels = [f"{one['label']} {one['probability']:.2f}" for one in found]
        labels += [f"missed: {one['label']}" for one in missed]
        kinds = [self.classes.index(one["label"]) for one in found] + [MISSED] * len(missed)
        boxes = [one["box"] for one in [*found, *missed]]
        return {"picture": (".png", with_boxes(canvas.pixels, boxes, labels, kinds))}

    def _missed(self, found: Sequence[Prediction], sample: Sample) -> list[Prediction]:
        """Returns the objects of a sample that were not found; none, if it has no target."""
        if self.target is None or sample.get(self.target) is None:
            return []
        target = self.encode_target(sample)
        boxes = to_corners(target["boxes"])
        missed: list[Prediction] = []
        for number in (~target["crowd"]).nonzero().flatten().tolist():
            label = self.classes[int(target["labels"][number])]
            alike = [one["box"] for one in found if one["label"] == label]
            others = torch.tensor(alike).reshape(-1, 4)
            if not (overlaps(boxes[number : number + 1], others) >= _FOUND).any():
                missed.append({"label": label, "box": boxes[number].tolist()})
        return missed
