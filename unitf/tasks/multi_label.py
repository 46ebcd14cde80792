"""MultiLabelClassification: a sample belongs to any number of classes."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from unitf.batch import Sample, TaskBatch
from unitf.proposal import Column, Proposal
from unitf.spelling import tidied
from unitf.tasks.common.label_names import Label, as_label
from unitf.tasks.common.labelled_task import LabelledTask
from unitf.tasks.common.recognised_targets import propose_label_sets
from unitf.tasks.common.selection import take
from unitf.tasks.heads.head import Head
from unitf.tasks.heads.pooling import PoolingName
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import Prediction, Tokenizers


class MultiLabelClassification(LabelledTask):
    """Each sample belongs to any number of classes (binary cross-entropy, mean over classes).

    The target is a list of labels, or one text with `separator` between them. With
    `empty_is_none`, a sample whose target is empty has none of the classes; otherwise it is not
    known, and cannot be learned from.
    """

    monitor = "f1"
    mode = "max"
    searched: Mapping[str, object] = {"dropout": {"low": 0.0, "high": 0.5}}

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
        empty_is_none: bool = False,
    ) -> None:
        super().__init__(inputs, target, classes, pooling, dropout, weight, head)
        self.separator: str = separator
        self.empty_is_none: bool = empty_is_none

    @classmethod
    def recognise(cls, target: Column | None, inputs: Sequence[Column]) -> Proposal | None:
        """Recognises a target of lists of labels, or of texts with labels between separators."""
        return None if target is None else propose_label_sets(target)

    def accepts(self, sample: Sample, labelled: bool = True) -> bool:
        """Returns whether a sample has an input and, if `labelled`, a target, or an empty one."""
        is_empty = self.target in sample and self._raw_target(sample) is None
        return super().accepts(sample, labelled and not (self.empty_is_none and is_empty))

    def labels(self, value: object) -> list[Label]:
        """Returns the classes that a raw target names."""
        if value is None:
            return []
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

    def to_average(self, output: Float[Tensor, "S C"]) -> Float[Tensor, "S C"]:
        """Returns the probability of each class."""
        return output.sigmoid()

    def from_average(self, average: Float[Tensor, "S C"]) -> Float[Tensor, "S C"]:
        """Returns the log-odds of probabilities."""
        return average.logit(eps=1e-7)

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
