"""MaskedTokens: hidden tokens are predicted from all others, in every modality."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from unitf.batch import EncodedSample, Sample, TaskBatch
from unitf.tasks.common.masking import Masking
from unitf.tasks.common.token_offsets import first_offsets, members, rows_of
from unitf.tasks.heads.head import ColumnHead, Head
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import Task, Tokenizers
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Features, Tokens

TOP = 5  # so many tokens does a prediction name


@dataclass(frozen=True, eq=False)
class Guess:
    """What is said of the hidden tokens of one input, a token a row."""

    sequences: Shaped[Tensor, " M"]  # the sequence that each belongs to
    indices: Shaped[Tensor, " M"]  # which of the input's tokens each is
    predicted: Float[Tensor, "_ M"]  # V×M logits, or F×M
    losses: Float[Tensor, " M"]


class MaskedTokens(Task):
    """Some tokens are hidden and predicted from all others (BERT: Devlin et al., 2019).

    Hidden ids become the mask token, or a random or their own one; hidden F×N are replaced by a
    learned vector at their places (SimMIM: Xie et al., 2022). Each input is predicted by its own
    tokenizer: ids by their logarithmic loss, F×N by their squared error. To predict, ids that are
    the mask token are filled in; of F×N a share is hidden.

    Args:
        mask_ratio: of the tokens of each sample that are hidden, at least one.
        random: share of hidden ids that become a random one.
        kept: share of hidden ids that stay what they are.
        head: what lies between a column and the table that predicts it.
        block: so many consecutive tokens are hidden together (frames of a sound tell much of
            their neighbours).
        normalise: whether the F×N to predict have mean 0 and deviation 1 within each token (MAE:
            He et al., 2022).
    """

    causal = False

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        mask_ratio: float = 0.15,
        random: float = 0.1,
        kept: float = 0.1,
        weight: float = 1.0,
        head: Head | None = None,
        block: int = 1,
        normalise: bool = False,
    ) -> None:
        super().__init__(inputs, None, weight)
        self.hiding = Masking(mask_ratio, random, kept, block)
        self.head_settings = head
        self.normalise = normalise

    @property
    def unembeds(self) -> frozenset[str]:
        return frozenset(self.inputs.values())

    # ---- in data workers: what is hidden -----------------------------------------------

    def encode_target(self, sample: Sample) -> None:
        """What is to be predicted are the tokens."""

    def encode_token_target(
        self, encoding: EncodedSample, sample_info: Any
    ) -> dict[str, dict[str, Tensor]]:
        """For each input which tokens are hidden, and what is shown of it."""
        return {
            column: self.hiding(features, encoding.inputs[column], encoding.train)
            for column, features in encoding.features.items()
        }

    def collate(self, targets: Sequence[Any]) -> Any:
        """The choices of S samples, packed as their tokens are."""
        if not targets:
            return None
        packed: dict[str, dict[str, Tensor]] = {}
        for column in self.inputs:
            parts = [target[column] for target in targets if column in target]
            if parts:
                packed[column] = {
                    name: torch.cat([part[name] for part in parts]) for name in ("hidden", "shown")
                }
        return packed

    # ---- on the device -----------------------------------------------------------------

    def requirements(self, tokenizers: Tokenizers) -> dict[str, Any]:
        """How wide the vectors are that replace tokens, of the inputs that need one."""
        used = {column: tokenizers[name] for column, name in self.inputs.items()}
        vectors = {c: t.embedding_dim for c, t in used.items() if t.vocabulary_size is None}
        return {"vectors": vectors}

    def make_parameters(self, dim: int, vectors: Mapping[str, int] | None = None) -> None:
        self.head = ColumnHead(dim, None, settings=self.head_settings)
        self.vectors = nn.ParameterDict()
        for column, width in (vectors or {}).items():
            self.vectors[column] = nn.Parameter(torch.empty(width))
            nn.init.trunc_normal_(self.vectors[column], std=0.02, a=-0.04, b=0.04)

    def embed(self, batch: TaskBatch, tokenizers: Tokenizers) -> list[Tokens]:
        """The tokens of each input as they are shown."""
        parts = []
        for column, name in self.inputs.items():
            features, choice = batch.features[column], self._choice(column, batch, tokenizers)
            shown = choice["shown"] if features.is_ids else choice["shown"].mT
            vector = self.vectors.get(column)
            hidden = None if vector is None else choice["hidden"]
            parts.append(tokenizers[name](replace(features, values=shown), hidden, vector))
        return parts

    def unmasked(self, batch: TaskBatch) -> TaskBatch:
        none = {
            column: {"hidden": torch.zeros_like(f.positions[0], dtype=torch.bool), "shown": f.rows}
            for column, f in batch.features.items()
        }
        return replace(batch, target=none)

    def _choice(self, column: str, batch: TaskBatch, tokenizers: Tokenizers) -> dict[str, Tensor]:
        """What is hidden: as the data worker chose; to predict, the masks or a share."""
        features, tokenizer = batch.features[column], tokenizers[self.inputs[column]]
        if batch.target is not None and column in batch.target:
            return batch.target[column]
        if features.is_ids or not features.num_tokens:
            masks = torch.zeros_like(features.positions[0], dtype=torch.bool)
            if tokenizer.mask_id is not None and features.is_ids:
                masks = features.values == tokenizer.mask_id
            return {"hidden": masks, "shown": features.rows}
        device = features.values.device
        made = [
            self.hiding(part, tokenizer) for part in features.to("cpu").split() if part.lengths[0]
        ]
        return {
            name: torch.cat([one[name] for one in made]).to(device) for name in ("hidden", "shown")
        }

    def logits(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "N _"]:
        """What is predicted of every token of the first input, hidden or not."""
        [(column, name), *_] = self.inputs.items()
        first = first_offsets(columns, batch, self.inputs, tokenizers)[column]
        rows = self.head(rows_of(columns, batch.features[column], first))
        return tokenizers[name].unembed(rows.mT).mT

    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> dict[str, Guess]:
        """For each input what is said of its hidden tokens."""
        first = first_offsets(columns, batch, self.inputs, tokenizers)
        guesses = {}
        for column, name in self.inputs.items():
            features = batch.features[column]
            hidden: Bool[Tensor, " N"] = self._choice(column, batch, tokenizers)["hidden"]
            indices = torch.nonzero(hidden).flatten()
            rows = rows_of(columns, features, first[column]).index_select(0, indices)
            predicted = tokenizers[name].unembed(self.head(rows).mT)
            truth = features.rows.index_select(0, indices)
            if self.normalise and not features.is_ids:
                content = truth[:, tokenizers[name].content]
                content.copy_(functional.layer_norm(content, content.shape[1:], eps=1e-6))
            truth = Features(
                truth if features.is_ids else truth.mT,
                features.positions[:, indices],
                (len(indices),),
            )
            guesses[column] = Guess(
                sequences=members(features).to(indices.device)[indices],
                indices=indices,
                predicted=predicted,
                losses=tokenizers[name].loss(predicted, truth).float(),
            )
        return guesses

    def losses(
        self, output: dict[str, Guess], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " M"]:
        return torch.cat([guess.losses for guess in output.values()])

    # ---- for a person ------------------------------------------------------------------

    def metrics(self) -> TaskMetrics:
        from torchmetrics import MeanMetric

        from unitf.tasks.metrics.task_metrics import TaskMetrics

        return TaskMetrics({name: MeanMetric() for name in ("accuracy", "nats_per_token", "mse")})

    def update_metrics(
        self,
        metrics: TaskMetrics,
        output: dict[str, Guess],
        batch: TaskBatch,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        """Of hidden ids how many are guessed and their nats, of hidden F×N the squared error."""
        if not len(sequences):
            return
        everyone = torch.empty(len(sequences))
        metrics["num_samples"].update(everyone, everyone)
        wanted = torch.tensor(list(sequences))
        for column, guess in output.items():
            features = batch.features[column]
            chosen = torch.isin(guess.sequences, wanted.to(guess.sequences.device))
            losses = guess.losses.detach()[chosen]
            if not len(losses):
                continue
            if not features.is_ids:
                metrics["mse"].update(losses)
                continue
            metrics["nats_per_token"].update(losses)
            hits = guess.predicted.argmax(0) == features.values[guess.indices]
            metrics["accuracy"].update(hits[chosen].float())

    def predict(
        self, output: dict[str, Guess], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[dict[str, Any]]:
        """Of ids each mask with its likeliest tokens and the filled value; of F×N the error."""
        predictions: list[dict[str, Any]] = [{} for _ in range(batch.num_samples)]
        for column, guess in output.items():
            tokenizer, features = tokenizers[self.inputs[column]], batch.features[column]
            for number, part in enumerate(features.split()):
                if not part.num_tokens:
                    continue
                own = guess.sequences == number
                said = predictions[number].setdefault(column, {})
                if features.is_ids:
                    start = sum(features.lengths[:number])
                    indices = (guess.indices[own] - start).cpu()
                    said |= _filled(tokenizer, part.to("cpu"), indices, guess.predicted[:, own])
                else:
                    said["mse"] = guess.losses[own].mean().item()
        return [next(iter(p.values())) if len(self.inputs) == 1 and p else p for p in predictions]


def _filled(
    tokenizer: Tokenizer,
    features: Features,
    indices: Shaped[Tensor, " M"],
    logits: Float[Tensor, "V M"],
) -> dict[str, Any]:
    """The value with its likeliest tokens at the masks, and for each mask the likeliest ones."""
    likely, ids = logits.float().softmax(0).topk(min(TOP, len(logits)), dim=0)
    values = features.values.clone()
    values[indices] = ids[0].cpu().to(values.dtype)
    masks = []
    for index, *best in zip(indices.tolist(), ids.mT.tolist(), likely.mT.tolist(), strict=True):
        tokens = [
            {"token": _spelled(tokenizer, number), "probability": p}
            for number, p in zip(*best, strict=True)
        ]
        masks.append({"place": index, "tokens": tokens})
    filled = replace(features, values=values)
    return {"filled": _value_of(tokenizer, filled), "masks": masks}


def _value_of(tokenizer: Tokenizer, features: Features) -> Any:
    value = tokenizer.decode(features)
    return value.tolist() if isinstance(value, np.ndarray | Tensor) else value


def _spelled(tokenizer: Tokenizer, number: int) -> str:
    """One id as a person reads it."""
    value = tokenizer.decode(Features(torch.tensor([number])))
    return str(value) or f"[{number}]"
