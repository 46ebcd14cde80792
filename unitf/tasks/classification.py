"""Classification: a sample belongs to one class."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from unitf.batch import Sample, TaskBatch
from unitf.component import ComponentState
from unitf.errors import UserError
from unitf.proposal import Column, Proposal
from unitf.tasks.common.class_loss import (
    OUT_OF_SCOPE,
    ClassWeights,
    balanced_weights,
    class_losses,
    log_probabilities,
    named_weights,
    sample_weights,
)
from unitf.tasks.common.label_names import Label, as_label
from unitf.tasks.common.labelled_task import LabelledTask
from unitf.tasks.common.recognised_targets import propose_classes
from unitf.tasks.common.selection import take
from unitf.tasks.heads.head import Head
from unitf.tasks.heads.pooling import PoolingName
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import Prediction, Tokenizers


class Classification(LabelledTask):
    """Each sample belongs to one class (cross-entropy).

    The validation of a training fits a temperature, by which predictions divide the logits: so
    their probabilities are honest, and their classes unchanged (Guo et al., 2017,
    arXiv:1706.04599). It is kept in the checkpoint. A sample of a test whose class is unknown is
    out of scope: it counts in no figure but those that say how well the confidence tells it.

    Args:
        label_smoothing: the part of the target that is spread over all classes.
        class_weights: the weights of the classes in the loss: `balanced` is inverse to their
            numbers of training samples; or a dictionary, where a class that is not named weighs 1.
            The loss is a weighted mean over the samples of an optimizer step.
        focal: γ of the focal loss, whose factor (1 - p)^γ lets samples count less whose class has
            a probability p near 1 (Lin et al., 2017, arXiv:1708.02002); 0: plain cross-entropy.
        calibrate: whether the validation fits a temperature.
    """

    monitor = "accuracy"
    mode = "max"

    calibrated = ("temperature",)
    searched: Mapping[str, object] = {
        "dropout": {"low": 0.0, "high": 0.5},
        "label_smoothing": {"low": 0.0, "high": 0.2},
    }

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        classes: Sequence[Label] | None = None,
        pooling: PoolingName = "mean",
        label_smoothing: float = 0.0,
        dropout: float = 0.0,
        weight: float = 1.0,
        head: Head | None = None,
        class_weights: ClassWeights | None = None,
        focal: float = 0.0,
        calibrate: bool = True,
    ) -> None:
        super().__init__(inputs, target, classes, pooling, dropout, weight, head)
        if not 0 <= focal < math.inf:
            raise UserError(f"focal: expected 0 or more, found {focal}")
        self.label_smoothing: float = label_smoothing
        self.class_weights: ClassWeights | None = class_weights
        self.focal: float = focal
        self.fits_temperature: bool = calibrate
        self._weights: dict[torch.device, Tensor] = {}  # of the classes, by device

    @property
    def temperature(self) -> float:
        """What predictions divide the logits by; 1 before a validation has fitted it."""
        return cast(float, self.fitted.get("temperature", 1.0))

    def fit(self, samples: Iterable[Sample]) -> None:
        """Learns the classes from the training samples, and their weights."""
        if self.class_weights != "balanced":
            super().fit(samples)
        else:
            labels = [
                as_label(self._raw_target(sample)) for sample in samples if self.accepts(sample)
            ]
            self.learn_from(labels)
            counts = Counter(map(self.number, labels))
            weights = balanced_weights([counts[index] for index in range(self.num_classes)])
            self.fitted["class_weights"] = weights
        if isinstance(self.class_weights, dict):
            self.fitted["class_weights"] = named_weights(self.class_weights, self.classes)

    def calibrate(self, results: Mapping[str, object]) -> None:
        """Keeps the temperature that a validation fitted."""
        if isinstance(temperature := results.get("temperature"), float):
            self.fitted["temperature"] = temperature

    def set_extra_state(self, state: ComponentState) -> None:
        """Restores what was learned; the temperature also if the parameters exist already."""
        temperature = state["fitted"].get("temperature")
        super().set_extra_state(state)
        self.fitted.pop("temperature", None)
        if temperature is not None:
            self.fitted["temperature"] = temperature

    @classmethod
    def recognise(cls, target: Column | None, inputs: Sequence[Column]) -> Proposal | None:
        """Recognises a target of few values that return again and again."""
        return None if target is None else propose_classes(target)

    def labels(self, value: object) -> list[Label]:
        """Returns the class that a raw target names, in a list."""
        return [as_label(value)]

    def encode_target(self, sample: Sample) -> Shaped[Tensor, ""]:
        """Returns the index of the class."""
        return torch.tensor(self.number(as_label(self._raw_target(sample))))

    def out_of_scope_target(self, sample: Sample) -> Shaped[Tensor, ""]:
        """Returns the target of a sample of a test whose class is unknown."""
        return torch.tensor(OUT_OF_SCOPE)

    def loss_weights(self, batch: TaskBatch) -> Float[Tensor, " S"] | None:
        """Returns the weight of each sample's class; None: each sample weighs 1.

        Raises:
            UserError: the weights are not known.
        """
        if not batch.num_samples or (self.class_weights is None and self.training):
            return None
        return sample_weights(batch.target, self._class_weights(batch.target.device))

    def _class_weights(self, device: torch.device) -> Float[Tensor, " C"] | None:
        if self.class_weights is None:
            return None
        if "class_weights" not in self.fitted:
            raise UserError(
                f"target {self.target!r}: class_weights are learned with the classes, found "
                "classes that another run learned without them"
            )
        if device not in self._weights:  # a copy to the device would wait in each step
            self._weights[device] = torch.tensor(self.fitted["class_weights"], device=device)
        return self._weights[device]

    def losses(
        self, output: Float[Tensor, "S C"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " S"]:
        """Returns the cross-entropy; a target is a class (S,), or, after mixup, a row of (S, C)."""
        if not batch.num_samples:
            return output.sum(1)
        return class_losses(output, batch.target, self.label_smoothing, self.focal)

    def to_average(self, output: Float[Tensor, "S C"]) -> Float[Tensor, "S C"]:
        """Returns the probabilities, as predictions have them."""
        return (output / self.temperature).softmax(1)

    def from_average(self, average: Float[Tensor, "S C"]) -> Float[Tensor, "S C"]:
        """Returns the logarithms of probabilities."""
        return log_probabilities(average)

    def metrics(self) -> TaskMetrics:
        """Creates accuracy, macro F1, macro AUROC, the confusion matrix, and figures of confidence.

        The last are the calibration error, and how well the confidence tells unknown classes.
        """
        from torchmetrics import classification as scores

        from unitf.tasks.metrics.confidence import Calibration, OutOfScope
        from unitf.tasks.metrics.task_metrics import MacroAUROC, TaskMetrics

        size = self.num_classes
        fits = self.calibrating and self.fits_temperature
        return TaskMetrics(
            {
                "accuracy": scores.MulticlassAccuracy(size, average="micro"),
                "f1": scores.MulticlassF1Score(size, average="macro"),
                "auroc": MacroAUROC(size),
                "confusion": scores.MulticlassConfusionMatrix(size),
                "calibration": Calibration(size, None if fits else self.temperature),
                "out_of_scope": OutOfScope(),
            }
        )

    def update_metrics(
        self,
        metrics: TaskMetrics,
        output: Float[Tensor, "S C"],
        batch: TaskBatch,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        """Updates the metrics with the probabilities; mixed targets count as their main class."""
        if len(sequences):
            target = batch.target.argmax(1) if batch.target.ndim == 2 else batch.target
            probabilities, target = take(output.softmax(1), sequences), take(target, sequences)
            if not bool((known := target >= 0).all()):
                metrics["out_of_scope"].update(probabilities[~known], target[~known])
                probabilities, target = probabilities[known], target[known]
            if len(target):
                metrics.update(probabilities, target)

    def predict(
        self, output: Float[Tensor, "S C"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[Prediction]:
        """Returns the most probable class of each sample, and the probabilities of the best."""
        calibrated = output if self.temperature == 1 else output / self.temperature
        probabilities = calibrated.softmax(1)
        indices = output.argmax(1, keepdim=True)  # the temperature changes no class
        highest = probabilities.gather(1, indices)[:, 0]
        return [
            {"label": self.classes[index], "probability": p, "probabilities": best}
            for index, p, best in zip(
                indices[:, 0].tolist(), highest.tolist(), self._best(probabilities), strict=True
            )
        ]
