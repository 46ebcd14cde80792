"""Embedding: a vector for each sample, near to those of samples that mean the same."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from unitf.batch import Sample, TaskBatch
from unitf.errors import UserError
from unitf.tasks.common.pooled import Pooled, by_head
from unitf.tasks.common.selection import take
from unitf.tasks.heads.head import Head, PooledHead
from unitf.tasks.heads.pooling import PoolingName
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import Tokenizers
from unitf.tokens import Tokens


class Embedding(Pooled):
    """A vector for each sample; two inputs learn to be nearest to each other.

    As the towers of CLIP do (Radford et al., 2021).

    With two inputs (an image and its caption, a question and its answer) each has a sequence and a
    vector of its own, and the loss is the symmetric cross-entropy of finding the partner among all
    samples of the batch. With one input there is nothing to learn, only to predict.

    Args:
        inputs: one, or two that belong together.
        pooling: how a sequence's columns become one, as in Classification.
        size: of the vector, by a linear layer; None: D.
        normalise: whether vectors have length 1.
        temperature: what cosines are divided by in the loss.
        head: what else lies between the pooled column and the vector.
    """

    loss_per_sample = False  # of whole pairs alone
    monitor = "accuracy"
    mode = "max"

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        pooling: PoolingName = "mean",
        size: int | None = None,
        normalise: bool = True,
        temperature: float = 0.07,
        weight: float = 1.0,
        head: Head | None = None,
    ) -> None:
        super().__init__(inputs, None, weight)
        if not 1 <= len(self.inputs) <= 2:
            raise UserError(f"Embedding: expected one input or two, found {len(self.inputs)}")
        if temperature <= 0:
            raise UserError(f"Embedding: temperature must be above 0, found {temperature}")
        self.pooling: PoolingName = pooling
        self.size = size
        self.normalise = normalise
        self.temperature = temperature
        self.head_settings = head

    def encode_target(self, sample: Sample) -> Tensor:
        """Nothing is to be predicted but the partner, which is in the sample."""
        return torch.zeros(0)

    def make_parameters(self, dim: int) -> None:
        self.head = PooledHead(dim, self.size, self.pooling, settings=self.head_settings)

    def join_inputs(self, parts: Sequence[Tokens]) -> Tokens:
        return self.head.join_inputs([Tokens.pack(parts)])

    @by_head
    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "S I E"]:
        """For each sample the vector of each input."""
        vectors = self.head(columns).float()
        if self.normalise:
            vectors = functional.normalize(vectors, dim=1)
        return vectors.unflatten(0, (len(self.inputs), -1)).transpose(0, 1)

    def sample_vectors(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "S E"]:
        """The task's own: of a sample with both inputs the mean of their vectors."""
        read = self.outputs(columns, batch, tokenizers)
        lengths = [features.lengths for features in batch.features.values()]
        brought = torch.tensor(lengths, device=read.device).mT[..., None] > 0
        return (read * brought).sum(1) / brought.sum(1).clamp(min=1)

    def logits(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "S E"]:
        return self.outputs(columns, batch, tokenizers).flatten(1)

    def _scores(
        self, vectors: Float[Tensor, "S I E"], batch: TaskBatch
    ) -> tuple[Tensor, list[int]]:
        """The cosines of all pairs of the samples that have both, and which samples those are."""
        if len(self.inputs) != 2:
            raise UserError(
                f"Embedding learns from pairs: expected two inputs, found {', '.join(self.inputs)}"
            )
        lengths = [features.lengths for features in batch.features.values()]
        whole = [number for number, both in enumerate(zip(*lengths, strict=True)) if all(both)]
        first, second = take(vectors, whole).unbind(1)
        return first @ second.mT / self.temperature, whole

    def losses(
        self, output: Float[Tensor, "S I E"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " L"]:
        scores, whole = self._scores(output, batch)
        if not whole:
            return output.flatten(1).sum(1)[:0]
        partners = torch.arange(len(whole), device=scores.device)
        there = functional.cross_entropy(scores, partners, reduction="none")
        back = functional.cross_entropy(scores.mT, partners, reduction="none")
        return (there + back) / 2

    def metrics(self) -> TaskMetrics:
        from torchmetrics import MeanMetric

        from unitf.tasks.metrics.task_metrics import TaskMetrics

        return TaskMetrics({"accuracy": MeanMetric()})

    def update_metrics(
        self,
        metrics: TaskMetrics,
        output: Float[Tensor, "S I E"],
        batch: TaskBatch,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        """Accuracy: how often the partner is the nearest of the batch."""
        if not len(sequences):
            return
        scores, whole = self._scores(output, batch)
        everyone = torch.empty(len(sequences))
        metrics["num_samples"].update(everyone, everyone)
        found = scores.argmax(1).tolist() if whole else []
        hits = [found[row] == row for row, sample in enumerate(whole) if sample in set(sequences)]
        if hits:
            metrics["accuracy"].update(torch.tensor(hits, dtype=torch.float32))

    def predict(
        self, output: Float[Tensor, "S I E"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[dict[str, Any]]:
        lengths = [features.lengths for features in batch.features.values()]
        predictions = []
        for vectors, counts in zip(output, zip(*lengths, strict=True), strict=True):
            present = {
                name: vector.tolist()
                for name, vector, count in zip(self.inputs, vectors, counts, strict=True)
                if count
            }
            prediction: dict[str, Any] = {"embedding": next(iter(present.values()), None)}
            if len(self.inputs) == 2:
                prediction = {"embeddings": present}
                if all(counts):
                    cosine = functional.cosine_similarity(vectors[0], vectors[1], dim=0)
                    prediction["similarity"] = cosine.item()
            predictions.append(prediction)
        return predictions
