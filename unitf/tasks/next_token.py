"""NextToken: language modelling, for every modality whose tokenizer has the way back."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric

from unitf.batch import Sample, View
from unitf.tasks.figures import Figures, take
from unitf.tasks.pooling import LearnedToken
from unitf.tasks.task import Task, Tokenizers
from unitf.tokens import Features, Tokens


class NextToken(Task):
    """Each token is predicted from those before it; the first one from a learned start token.

    The tokens of all inputs are predicted, each by its own tokenizer: ids by their logarithmic
    loss, numbers F×N by their squared error.
    """

    causal = True

    def __init__(self, inputs: list[str] | dict[str, str], weight: float = 1.0) -> None:
        super().__init__(inputs, None, weight)

    @property
    def unembeds(self) -> frozenset[str]:
        return frozenset(self.inputs.values())

    def encode_target(self, sample: Sample) -> Int[Tensor, " I"]:
        """Of each input its bytes in UTF-8, if it is a text (else 0): for bits per byte."""
        values = [sample.get(column) for column in self.inputs]
        texts = [value.encode() if isinstance(value, str) else value for value in values]
        return torch.tensor([len(text) if isinstance(text, bytes) else 0 for text in texts])

    def make_parameters(self, dim: int) -> None:
        self.start = LearnedToken(dim, position=-1.0)  # the first real token stands at 0

    def arrange(self, parts: Sequence[Tokens]) -> Tokens:
        return Tokens.concat([self.start(parts[0].num_sequences), *parts])

    def read(
        self, columns: Tokens, view: View, tokenizers: Tokenizers
    ) -> dict[str, Float[Tensor, " _"]]:
        """For each input the loss of each of its tokens, predicted from the column before it."""
        # the logits of a large vocabulary are the largest thing of a step: they stay in here
        losses, starts = {}, np.cumsum([0, *columns.lengths])[:-1]
        for column, name in self.inputs.items():
            features = view.features[column]
            # a prefix stands before the first token, which is then predicted from its last column
            taken = np.array(tokenizers[name].num_columns(features), dtype=np.int64)
            before = starts + taken - _lengths(features)
            index = torch.from_numpy(_runs(before, _lengths(features))).to(columns.matrix.device)
            rows = columns.rows.index_select(0, index)
            predicted = tokenizers[name].unembed(rows.mT)
            losses[column] = tokenizers[name].loss(predicted, features).float()
            starts = starts + taken
        return losses

    def losses(
        self, reading: dict[str, Float[Tensor, " _"]], view: View, tokenizers: Tokenizers
    ) -> Float[Tensor, " N"]:
        return torch.cat(list(reading.values()))

    def metrics(self) -> Figures:
        return Figures({"tokens": TokenFigures()})

    def score(
        self,
        metrics: Figures,
        reading: dict[str, Float[Tensor, " _"]],
        view: View,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        if not len(sequences):
            return
        everyone = torch.empty(len(sequences))
        metrics["num_samples"].update(everyone, everyone)
        for number, (column, losses) in enumerate(reading.items()):
            features = view.features[column]
            sums = take(_sums(losses, features), sequences)
            texts = torch.zeros_like(sums)  # bytes of each sample
            if features.is_ids and view.target is not None:
                texts = take(view.target[:, number], sequences)
            metrics["tokens"].update(
                sums,
                num_tokens=int(_lengths(features)[list(sequences)].sum()),
                num_bytes=texts,
                is_ids=features.is_ids,
            )

    def predict(
        self, reading: dict[str, Float[Tensor, " _"]], view: View, tokenizers: Tokenizers
    ) -> list[dict[str, Any]]:
        """Of each sample the mean loss, and the perplexity where its tokens are ids."""
        totals, counts, ids = np.zeros((3, view.num_samples))
        for column, losses in reading.items():
            features = view.features[column]
            totals += _sums(losses.detach(), features).cpu().numpy()
            counts += _lengths(features)
            ids += _lengths(features) * features.is_ids
        predictions = []
        for total, count, num_ids in zip(totals, counts, ids, strict=True):
            loss = float(total / count) if count else None
            prediction: dict[str, Any] = {"loss": loss}
            if loss is not None and count == num_ids:  # exp(700) is about what float64 holds
                prediction["perplexity"] = math.exp(min(loss, 700.0))
            predictions.append(prediction)
        return predictions


class TokenFigures(Metric):
    """Means over tokens: nats, perplexity and bits per byte of ids, squared error of numbers."""

    full_state_update = False
    nats: Tensor
    num_ids: Tensor
    text_nats: Tensor
    num_bytes: Tensor
    errors: Tensor
    num_vectors: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("nats", "num_ids", "text_nats", "num_bytes", "errors", "num_vectors"):
            # float64: an epoch has more tokens than float32 can count
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, sums: Tensor, num_tokens: int, num_bytes: Tensor, is_ids: bool) -> None:
        """The losses of some samples, each the sum over its tokens, and their bytes of text."""
        sums = sums.double()
        if is_ids:
            self.nats += sums.sum()
            self.num_ids += num_tokens
            self.text_nats += (sums * (num_bytes > 0)).sum()
            self.num_bytes += num_bytes.sum()
        else:
            self.errors += sums.sum()
            self.num_vectors += num_tokens

    def compute(self) -> dict[str, Tensor]:
        return {  # 0 / 0 is NaN, which Figures leaves out
            "loss": (self.nats + self.errors) / (self.num_ids + self.num_vectors),
            "nats_per_token": self.nats / self.num_ids,
            "perplexity": (self.nats / self.num_ids).exp(),
            "bits_per_byte": self.text_nats / math.log(2) / self.num_bytes,
            "mse": self.errors / self.num_vectors,
        }


def _runs(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """start, start + 1, … of each run, one run after the other."""
    before = counts.cumsum() - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())


def _sums(losses: Float[Tensor, " N"], features: Features) -> Float[Tensor, " S"]:
    """Of each sequence the sum over its tokens."""
    members = torch.from_numpy(np.repeat(np.arange(features.num_sequences), _lengths(features)))
    sums = losses.new_zeros(features.num_sequences)
    return sums.index_add(0, members.to(losses.device), losses)


def _lengths(features: Features) -> np.ndarray:
    return np.array(features.lengths, dtype=np.int64)
