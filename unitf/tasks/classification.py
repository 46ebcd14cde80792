"""Classification: a sample belongs to one class, or to any number of classes."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional

from unitf.batch import Sample, TaskBatch
from unitf.proposal import Column, Proposal
from unitf.spelling import tidied
from unitf.tasks.common.label_names import Label, LabelNames, as_label
from unitf.tasks.common.pooled import Pooled
from unitf.tasks.common.recognised_targets import propose_classes, propose_label_sets
from unitf.tasks.common.selection import take
from unitf.tasks.heads.head import Head, PooledHead
from unitf.tasks.heads.pooling import PoolingName
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import Prediction, Tokenizers

TOP: int = 5  # the number of classes that a prediction names


class LabelledTask(Pooled, LabelNames):
    """The base class of both kinds of classification: a logit for each of the known classes.

    Args:
        classes: the names of the classes; None: those of the training samples, sorted.
        pooling: how a sequence's columns become one: their mean, a learned class token before
            them, attention with learned queries ("latent": with a feed-forward after it), the
            first column, the last, or the first joined with the mean of the others.
        dropout: the dropout of the pooled column, before the linear head.
        head: other layers between the pooled column and the logits.
    """

    fitted_parameters: tuple[str, ...] = ("head.linear.",)

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        classes: Sequence[Label] | None = None,
        pooling: PoolingName = "mean",
        dropout: float = 0.0,
        weight: float = 1.0,
        head: Head | None = None,
    ) -> None:
        super().__init__(inputs, target, classes, weight)
        self.pooling: PoolingName = pooling
        self.dropout: float = dropout
        self.head_settings: Head | None = head

    @abstractmethod
    def labels(self, value: object) -> list[Label]:
        """Returns the classes that a raw target names."""

    def fit(self, samples: Iterable[Sample]) -> None:
        """Learns the classes from the training samples, unless they are given."""
        self.learn_from(
            label
            for sample in samples
            if self.accepts(sample)
            for label in self.labels(self._raw_target(sample))
        )

    def make_parameters(self, dim: int) -> None:
        """Creates the head."""
        self.head: PooledHead = PooledHead(
            dim, self.num_classes, self.pooling, self.dropout, self.head_settings
        )

    def _best(self, probabilities: Float[Tensor, "S C"]) -> list[dict[str, float]]:
        """Returns the most probable classes of each sample, with their probabilities."""
        best, indices = probabilities.topk(min(TOP, self.num_classes), dim=1)
        return [
            {str(self.classes[index]): p for index, p in zip(row, values, strict=True)}
            for row, values in zip(indices.tolist(), best.tolist(), strict=True)
        ]


class Classification(LabelledTask):
    """Each sample belongs to one class (cross-entropy).

    Args:
        label_smoothing: the part of the target that is spread over all classes.
    """

    monitor = "accuracy"
    mode = "max"

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
    ) -> None:
        super().__init__(inputs, target, classes, pooling, dropout, weight, head)
        self.label_smoothing: float = label_smoothing

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

    def losses(
        self, output: Float[Tensor, "S C"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " S"]:
        """Returns the cross-entropy; a target is a class (S,), or, after mixup, a row of (S, C)."""
        if not batch.num_samples:
            return output.sum(1)
        return functional.cross_entropy(
            output, batch.target, reduction="none", label_smoothing=self.label_smoothing
        )

    def metrics(self) -> TaskMetrics:
        """Creates accuracy, macro F1, macro AUROC and the confusion matrix."""
        from torchmetrics import classification as scores

        from unitf.tasks.metrics.task_metrics import MacroAUROC, TaskMetrics

        size = self.num_classes
        return TaskMetrics(
            {
                "accuracy": scores.MulticlassAccuracy(size, average="micro"),
                "f1": scores.MulticlassF1Score(size, average="macro"),
                "auroc": MacroAUROC(size),
                "confusion": scores.MulticlassConfusionMatrix(size),
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
            metrics.update(take(output.softmax(1), sequences), take(target, sequences))

    def predict(
        self, output: Float[Tensor, "S C"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[Prediction]:
        """Returns the most probable class of each sample, and the probabilities of the best."""
        probabilities = output.softmax(1)
        highest, indices = probabilities.max(1)
        return [
            {"label": self.classes[index], "probability": p, "probabilities": best}
            for index, p, best in zip(
                indices.tolist(), highest.tolist(), self._best(probabilities), strict=True
            )
        ]


class MultiLabelClassification(LabelledTask):
    """Each sample belongs to any number of classes (binary cross-entropy, mean over classes).

    The target is a list of labels, or one text with `separator` between them.
    """

    monitor = "f1"
    mode = "max"

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        classes: Sequence[Label] | None = None,
        pooling: PoolingName = "mean",
        separator: str = ";",
        dropout: float = 0.0,
        weight: float = 1.0,
        head: Head | None = None,
    ) -> None:
        super().__init__(inputs, target, classes, pooling, dropout, weight, head)
        self.separator: str = separator

    @classmethod
    def recognise(cls, target: Column | None, inputs: Sequence[Column]) -> Proposal | None:
        """Recognises a target of lists of labels, or of texts with labels between separators."""
        return None if target is None else propose_label_sets(target)

    def labels(self, value: object) -> list[Label]:
        """Returns the classes that a raw target names."""
        if isinstance(value, str):
            return [tidied(part) for part in value.split(self.separator) if part.strip()]
        if isinstance(value, np.ndarray | Tensor):
            value = value.tolist()
        if not isinstance(value, list | tuple | set | frozenset):
            value = [value]
        return [as_label(label) for label in value]

    def encode_target(self, sample: Sample) -> Float[Tensor, " C"]:
        """Returns 1 for each class that the sample belongs to, else 0."""
        target = torch.zeros(self.num_classes)
        for label in self.labels(sample[self.target]):  # type: ignore[index]
            target[self.number(label)] = 1.0
        return target

    def losses(
        self, output: Float[Tensor, "S C"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " S"]:
        """Returns the binary cross-entropy of each sample, as the mean over the classes."""
        if not batch.num_samples:
            return output.sum(1)
        return functional.binary_cross_entropy_with_logits(
            output, batch.target, reduction="none"
        ).mean(1)

    def metrics(self) -> TaskMetrics:
        """Creates exact match, macro F1, macro AUROC and the confusion matrices."""
        from torchmetrics import classification as scores

        from unitf.tasks.metrics.task_metrics import MacroLabelAUROC, TaskMetrics

        size = self.num_classes
        return TaskMetrics(
            {
                "accuracy": scores.MultilabelExactMatch(size),
                "f1": scores.MultilabelF1Score(size, average="macro"),
                "auroc": MacroLabelAUROC(size),
                "confusion": scores.MultilabelConfusionMatrix(size),
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
        """Updates the metrics with the probabilities."""
        if len(sequences):
            target = (batch.target > 0.5).long()
            metrics.update(take(output.sigmoid(), sequences), take(target, sequences))

    def predict(
        self, output: Float[Tensor, "S C"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[Prediction]:
        """Returns the classes above a probability of 0.5, and the probabilities of the best."""
        probabilities = output.sigmoid()
        return [
            {
                "labels": [name for name, p in zip(self.classes, row, strict=True) if p > 0.5],
                "probabilities": best,
            }
            for row, best in zip(probabilities.tolist(), self._best(probabilities), strict=True)
        ]
