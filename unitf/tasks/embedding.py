"""Embedding: a vector for each sample, close to those of samples with the same meaning."""

from collections.abc import Sequence

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
from unitf.tasks.task import Prediction, Tokenizers
from unitf.tokens import Tokens


class Embedding(Pooled):
    """A vector for each input of a sample; those of one sample learn to be close to each other.

    This is the training of CLIP (Radford et al., 2021). With two inputs (an image and its caption,
    a question and its answer) each input has its own sequence and its own vector. The loss is the
    symmetric cross-entropy of finding the partner among all samples of the batch. With one input
    the task cannot be trained, it only predicts.

    Args:
        inputs: one column, or two that belong together.
        pooling: how a sequence's columns become one, as in Classification.
        size: the size of the vector, which a linear layer computes; None: D, without a layer.
        normalise: whether vectors have length 1.
        temperature: the loss divides cosines by it.
        head: other layers between the pooled column and the vector.
    """

    loss_per_sample: bool = False  # samples that lack an input have no loss
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
        self.size: int | None = size
        self.normalise: bool = normalise
        self.temperature: float = temperature
        self.head_settings: Head | None = head

    def encode_target(self, sample: Sample) -> Tensor:
        """Returns an empty tensor: there is no target beside the two inputs."""
        return torch.zeros(0)

    def make_parameters(self, dim: int) -> None:
        """Creates the head."""
        self.head: PooledHead = PooledHead(
            dim, self.size, self.pooling, settings=self.head_settings
        )

    def join_inputs(self, parts: Sequence[Tokens]) -> Tokens:
        """Packs the inputs as separate sequences: first all of one input, then all of the other."""
        return self.head.join_inputs([Tokens.pack(parts)])

    @by_head
    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "S I E"]:
        """Returns for each sample the vector of each input."""
        vectors = self.head(columns).float()
        if self.normalise:
            vectors = functional.normalize(vectors, dim=1)
        return vectors.unflatten(0, (len(self.inputs), -1)).transpose(0, 1)

    def sample_vectors(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "S E"]:
        """Returns the vector of each sample: the mean over the inputs that it has."""
        vectors = self.outputs(columns, batch, tokenizers)
        lengths = [features.lengths for features in batch.features.values()]
        present = torch.tensor(lengths, device=vectors.device).mT[..., None] > 0
        return (vectors * present).sum(1) / present.sum(1).clamp(min=1)

    def logits(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "S E"]:
        """Returns the vectors of all inputs, joined in one row for each sample."""
        return self.outputs(columns, batch, tokenizers).flatten(1)

    def _scores(
        self, vectors: Float[Tensor, "S I E"], batch: TaskBatch
    ) -> tuple[Tensor, list[int]]:
        """Returns the similarities of all pairs, and the indices of samples with both inputs.

        Raises:
            UserError: the task has only one input.
        """
        if len(self.inputs) != 2:
            raise UserError(
                f"Embedding learns from pairs: expected two inputs, found {', '.join(self.inputs)}"
            )
        lengths = [features.lengths for features in batch.features.values()]
        paired = [number for number, both in enumerate(zip(*lengths, strict=True)) if all(both)]
        first, second = take(vectors, paired).unbind(1)
        return first @ second.mT / self.temperature, paired

    def losses(
        self, output: Float[Tensor, "S I E"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " L"]:
        """Returns the symmetric cross-entropy of each pair."""
        scores, paired = self._scores(output, batch)
        if not paired:
            return output.flatten(1).sum(1)[:0]
        partners = torch.arange(len(paired), device=scores.device)
        first_to_second = functional.cross_entropy(scores, partners, reduction="none")
        second_to_first = functional.cross_entropy(scores.mT, partners, reduction="none")
        return (first_to_second + second_to_first) / 2

    def metrics(self) -> TaskMetrics:
        """Creates the accuracy of finding the partner."""
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
        """Updates the accuracy: how often the partner is the closest vector of the batch."""
        if not len(sequences):
            return
        scores, paired = self._scores(output, batch)
        rows = torch.empty(len(sequences))
        metrics["num_samples"].update(rows, rows)
        closest = scores.argmax(1).tolist() if paired else []
        selected = set(sequences)
        hits = [closest[row] == row for row, sample in enumerate(paired) if sample in selected]
        if hits:
            metrics["accuracy"].update(torch.tensor(hits, dtype=torch.float32))

    def predict(
        self, output: Float[Tensor, "S I E"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[Prediction]:
        """Returns the vector of each sample, or those of both inputs and their cosine."""
        lengths = [features.lengths for features in batch.features.values()]
        predictions = []
        for vectors, counts in zip(output, zip(*lengths, strict=True), strict=True):
            present = {
                name: vector.tolist()
                for name, vector, count in zip(self.inputs, vectors, counts, strict=True)
                if count
            }
            prediction: Prediction = {"embedding": next(iter(present.values()), None)}
            if len(self.inputs) == 2:
                prediction = {"embeddings": present}
                if all(counts):
                    cosine = functional.cosine_similarity(vectors[0], vectors[1], dim=0)
                    prediction["similarity"] = cosine.item()
            predictions.append(prediction)
        return predictions
