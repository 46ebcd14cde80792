"""MaskedTokens: hidden tokens of any modality are predicted from all others."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from unitf.batch import EncodedSample, Sample, TaskBatch
from unitf.features import Features
from unitf.tasks.common.guesses import Guess, filled
from unitf.tasks.common.masking import Masking
from unitf.tasks.common.token_offsets import first_offsets, members, rows_of
from unitf.tasks.heads.head import ColumnHead, Head
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import Prediction, SampleInfo, Target, Task, Tokenizers
from unitf.tokens import Tokens


class MaskedTokens(Task):
    """Some tokens are hidden and predicted from all others (BERT: Devlin et al., 2019).

    A hidden id is replaced by the mask token or a random id, or it is kept. The embedding of a
    hidden token of numbers F×N is replaced by a learned vector (SimMIM: Xie et al., 2022). Each
    input is predicted by its own tokenizer: ids with the logarithmic loss, F×N with the squared
    error. `predict` fills in the ids that are the mask token; of F×N it hides a part.

    Args:
        mask_ratio: the fraction of each sample's tokens that are hidden; at least one is.
        random: the fraction of hidden ids that are replaced by a random id.
        kept: the fraction of hidden ids that are not replaced.
        head: the layers between a column and the table that predicts its token.
        block: the number of consecutive tokens that are hidden together (single frames of a sound
            are easily guessed from their neighbours).
        normalise: whether F×N are predicted with mean 0 and deviation 1 within each token (MAE: He
            et al., 2022).
    """

    causal: bool | None = False

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
        self.hiding: Masking = Masking(mask_ratio, random, kept, block)
        self.head_settings: Head | None = head
        self.normalise: bool = normalise

    @property
    def unembeds(self) -> frozenset[str]:
        """The tokenizers of all inputs."""
        return frozenset(self.inputs.values())

    # ---- in data workers: what is hidden -----------------------------------------------

    def encode_target(self, sample: Sample) -> None:
        """Returns nothing: the targets are the tokens themselves."""

    def encode_token_target(
        self, encoding: EncodedSample, sample_info: SampleInfo
    ) -> dict[str, dict[str, Tensor]]:
        """Returns for each input the hidden tokens, and what the model sees instead."""
        return {
            column: self.hiding(features, encoding.inputs[column], encoding.train)
            for column, features in encoding.features.items()
        }

    def collate(self, targets: Sequence[Target]) -> Target:
        """Packs the choices of hidden tokens of S samples, as their tokens are packed."""
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

    def num_losses(self, batch: TaskBatch, tokenizers: Tokenizers) -> int:
        """Returns the number of hidden tokens."""
        return sum(int(choice["hidden"].sum()) for choice in (batch.target or {}).values())

    # ---- on the device -----------------------------------------------------------------

    def requirements(self, tokenizers: Tokenizers) -> dict[str, object]:
        """Returns the width of the vector that replaces hidden tokens, for each input F×N."""
        by_column = {column: tokenizers[name] for column, name in self.inputs.items()}
        vectors = {c: t.embedding_dim for c, t in by_column.items() if t.vocabulary_size is None}
        return {"vectors": vectors}

    def make_parameters(self, dim: int, vectors: Mapping[str, int] | None = None) -> None:
        """Creates the head, and a vector for each input F×N.

        Args:
            vectors: the width of each of these inputs, as `requirements` returns them.
        """
        self.head: ColumnHead = ColumnHead(dim, None, settings=self.head_settings)
        self.vectors: nn.ParameterDict = nn.ParameterDict()
        for column, width in (vectors or {}).items():
            self.vectors[column] = nn.Parameter(torch.empty(width))
            nn.init.trunc_normal_(self.vectors[column], std=0.02, a=-0.04, b=0.04)

    def embed(self, batch: TaskBatch, tokenizers: Tokenizers) -> list[Tokens]:
        """Embeds each input with its hidden tokens replaced."""
        parts = []
        for column, name in self.inputs.items():
            features, choice = batch.features[column], self._choice(column, batch, tokenizers)
            shown = choice["shown"] if features.is_ids else choice["shown"].mT
            vector = self.vectors.get(column)
            hidden = None if vector is None else choice["hidden"]
            parts.append(tokenizers[name](replace(features, values=shown), hidden, vector))
        return parts

    def unmasked(self, batch: TaskBatch) -> TaskBatch:
        """Returns the batch with no token hidden."""
        nothing_hidden = {
            column: {"hidden": torch.zeros_like(f.positions[0], dtype=torch.bool), "shown": f.rows}
            for column, f in batch.features.items()
        }
        return replace(batch, target=nothing_hidden)

    def _choice(self, column: str, batch: TaskBatch, tokenizers: Tokenizers) -> dict[str, Tensor]:
        """Returns what is hidden of an input: as the data worker chose, if it did.

        Otherwise, in `predict`, the mask tokens are hidden, or a part of F×N is.
        """
        features, tokenizer = batch.features[column], tokenizers[self.inputs[column]]
        if batch.target is not None and column in batch.target:
            return batch.target[column]
        if features.is_ids or not features.num_tokens:
            masks = torch.zeros_like(features.positions[0], dtype=torch.bool)
            if tokenizer.mask_id is not None and features.is_ids:
                masks = features.values == tokenizer.mask_id
            return {"hidden": masks, "shown": features.rows}
        device = features.values.device
        choices = [
            self.hiding(part, tokenizer) for part in features.to("cpu").split() if part.lengths[0]
        ]
        return {
            name: torch.cat([choice[name] for choice in choices]).to(device)
            for name in ("hidden", "shown")
        }

    def logits(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "N _"]:
        """Returns the prediction of every token of the first input, hidden or not."""
        [(column, name), *_] = self.inputs.items()
        first = first_offsets(columns, batch, self.inputs, tokenizers)[column]
        rows = self.head(rows_of(columns, batch.features[column], first))
        return tokenizers[name].unembed(rows.mT).mT

    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> dict[str, Guess]:
        """Predicts the hidden tokens of each input."""
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
        """Returns the losses of the hidden tokens of all inputs."""
        return torch.cat([guess.losses for guess in output.values()])

    # ---- for a person ------------------------------------------------------------------

    def metrics(self) -> TaskMetrics:
        """Creates accuracy and nats of ids, and the mean squared error of numbers."""
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
        """Updates accuracy and nats with the hidden ids, the squared error with hidden F×N."""
        if not len(sequences):
            return
        rows = torch.empty(len(sequences))
        metrics["num_samples"].update(rows, rows)
        selected = torch.tensor(list(sequences))
        for column, guess in output.items():
            features = batch.features[column]
            chosen = torch.isin(guess.sequences, selected.to(guess.sequences.device))
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
    ) -> list[Prediction]:
        """Returns the filled value and the best tokens of each mask (ids), or the error (F×N).

        With several inputs there is a dictionary of these, by column.
        """
        predictions: list[Prediction] = [{} for _ in range(batch.num_samples)]
        for column, guess in output.items():
            tokenizer, features = tokenizers[self.inputs[column]], batch.features[column]
            for number, part in enumerate(features.split()):
                if not part.num_tokens:
                    continue
                of_sample = guess.sequences == number
                prediction = predictions[number].setdefault(column, {})
                if features.is_ids:
                    start = sum(features.lengths[:number])
                    indices = (guess.indices[of_sample] - start).cpu()
                    logits = guess.predicted[:, of_sample]
                    prediction |= filled(tokenizer, part.to("cpu"), indices, logits)
                else:
                    prediction["mse"] = guess.losses[of_sample].mean().item()
        return [next(iter(p.values())) if len(self.inputs) == 1 and p else p for p in predictions]
