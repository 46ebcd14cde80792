"""Embedding: a vector for each sample, close to those of samples with the same meaning."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from unitf.batch import Sample, TaskBatch
from unitf.errors import UserError
from unitf.nn.gathering import gather_rows
from unitf.tasks.common.pooled import Pooled, by_head
from unitf.tasks.common.selection import take
from unitf.tasks.heads.head import Head, PooledHead
from unitf.tasks.heads.pooling import PoolingName
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import Prediction, Tokenizers
from unitf.tokens import Tokens

LARGEST_SCALE: float = 100.0  # of a learned temperature, as CLIP has it


class Scores(NamedTuple):
    """The similarities of the L pairs of this process to the M pairs of all processes."""

    to_second: Float[Tensor, "L M"]
    to_first: Float[Tensor, "L M"]
    partners: Int[Tensor, " L"]  # the column of each pair's own partner


class Retrieval(NamedTuple):
    """The vectors, and for each sample with both inputs whether its partner is the closest."""

    vectors: Float[Tensor, "S I E"]
    found: dict[int, bool]


class Embedding(Pooled):
    """A vector for each input of a sample; those of one sample learn to be close to each other.

    This is the training of CLIP (Radford et al., 2021). With two inputs (an image and its caption,
    a question and its answer) each input has its own sequence and its own vector. The loss is the
    symmetric cross-entropy of finding the partner among all samples of the batch, those of all
    processes included. Batches that are accumulated do not see each other's samples, so this task
    refuses `accumulate_grad_batches`. With one input the task cannot be trained, it only predicts.

    Args:
        inputs: one column, or two that belong together.
        pooling: how a sequence's columns become one, as in Classification.
        size: the size of the vector, which a linear layer computes; None: D, without a layer.
        normalise: whether vectors have length 1.
        temperature: the loss divides cosines by it.
        learn_temperature: whether the temperature is learned, from `temperature` on and not below
            0.01.
        head: other layers between the pooled column and the vector.
    """

    loss_per_sample: bool = False  # samples that lack an input have no loss
    compares_samples: bool = True
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
        learn_temperature: bool = False,
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
        self.learn_temperature: bool = learn_temperature
        self.log_scale: nn.Parameter | None = None
        self.head_settings: Head | None = head

    def encode_target(self, sample: Sample) -> Tensor:
        """Returns an empty tensor: there is no target beside the two inputs."""
        return torch.zeros(0)

    def make_parameters(self, dim: int) -> None:
        """Creates the head."""
        self.head: PooledHead = PooledHead(
            dim, self.size, self.pooling, settings=self.head_settings
        )
        if self.learn_temperature:
            self.log_scale = nn.Parameter(torch.tensor(-math.log(self.temperature)))

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

    def num_losses(self, batch: TaskBatch, tokenizers: Tokenizers) -> int:
        """Returns the number of samples that have both inputs."""
        return len(self._paired(batch)) if len(self.inputs) == 2 else 0

    def _paired(self, batch: TaskBatch) -> list[int]:
        """Returns the indices of samples with both inputs.

        Raises:
            UserError: the task has only one input.
        """
        if len(self.inputs) != 2:
            raise UserError(
                f"Embedding learns from pairs: expected two inputs, found {', '.join(self.inputs)}"
            )
        lengths = [features.lengths for features in batch.features.values()]
        return [number for number, both in enumerate(zip(*lengths, strict=True)) if all(both)]

    @property
    def _scale(self) -> Tensor | float:
        """The factor of cosines: 1 divided by the temperature."""
        if self.log_scale is None:
            return 1 / self.temperature
        return self.log_scale.clamp(max=math.log(LARGEST_SCALE)).exp()

    def _scores(self, vectors: Float[Tensor, "S I E"], batch: TaskBatch) -> "Scores":
        """Returns the similarities of the pairs of this process to those of all processes."""
        own, step = take(vectors, self._paired(batch)), batch.step
        counts, rank = ([len(own)], 0)
        if step is not None:
            counts, rank = [process.losses for process in step.processes], step.rank
        everyone = gather_rows(own, counts, rank)
        partners = torch.arange(len(own), device=own.device) + sum(counts[:rank])
        (first, second), (firsts, seconds) = own.unbind(1), everyone.unbind(1)
        scale = self._scale
        return Scores(first @ seconds.mT * scale, second @ firsts.mT * scale, partners)

    def losses(
        self, output: Float[Tensor, "S I E"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " L"]:
        """Returns the symmetric cross-entropy of each pair, among the pairs of all processes."""
        scores = self._scores(output, batch)
        if not scores.to_second.shape[1]:  # no process has a pair
            return (output.flatten(1).sum(1) * self._scale)[:0]
        first_to_second, second_to_first = (
            functional.cross_entropy(each, scores.partners, reduction="none")
            for each in (scores.to_second, scores.to_first)
        )
        return (first_to_second + second_to_first) / 2

    def evaluate(
        self,
        output: Float[Tensor, "S I E"],
        batch: TaskBatch,
        tokenizers: Tokenizers,
        core: nn.Module,
        testing: bool,
    ) -> "Retrieval":
        """Adds whether each pair is found, which needs the vectors of all processes."""
        return Retrieval(output, self._found(output, batch))

    def _found(self, output: Float[Tensor, "S I E"], batch: TaskBatch) -> dict[int, bool]:
        """Returns for each sample with both inputs whether its partner is the closest vector."""
        scores = self._scores(output, batch)
        if not len(scores.partners):
            return {}
        hits = (scores.to_second.argmax(1) == scores.partners).tolist()
        return dict(zip(self._paired(batch), hits, strict=True))

    def metrics(self) -> TaskMetrics:
        """Creates the accuracy of finding the partner."""
        from torchmetrics import MeanMetric

        from unitf.tasks.metrics.task_metrics import TaskMetrics

        return TaskMetrics({"accuracy": MeanMetric()})

    def update_metrics(
        self,
        metrics: TaskMetrics,
        output: "Float[Tensor, 'S I E'] | Retrieval",
        batch: TaskBatch,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        """Updates the accuracy: how often the partner is the closest vector of the batch."""
        if not len(sequences):
            return
        found = output.found if isinstance(output, Retrieval) else self._found(output, batch)
        rows = torch.empty(len(sequences))
        metrics["num_samples"].update(rows, rows)
        hits = [found[sample] for sample in sequences if sample in found]
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
