"""Forecast: what every channel of a series does next."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torchmetrics import regression as scores

from unitf.batch import Sample, View
from unitf.errors import UserError
from unitf.initialisation import initialise
from unitf.tasks.figures import Figures, take
from unitf.tasks.task import Task, Tokenizers
from unitf.tokens import Tokens
from unitf_series.patches import SeriesPatches, read_series


class Forecast(Task):
    """The next steps of each channel, from its own columns (Nie et al., 2023).

    The loss is the squared error in units of the channel's scale, so that no channel counts more
    for its unit; figures and predictions are in the unit of the series.

    Args:
        inputs: the column of the series, whose tokenizer is SeriesPatches.
        target: the column of what follows: an array (horizon, C).
        horizon: how many steps are predicted.
        num_patches: how many columns each channel has.
        pooling: how they become one: "flat" (one below the other), their "mean" or "max".
        dropout: of what is pooled, before the linear layer.
    """

    monitor = "rmse"

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        horizon: int,
        num_patches: int,
        pooling: Literal["flat", "mean", "max"] = "flat",
        dropout: float = 0.0,
        weight: float = 1.0,
    ) -> None:
        super().__init__(inputs, target, weight)
        if len(self.inputs) != 1:
            raise UserError(f"Forecast: expected one input, found {len(self.inputs)}")
        if horizon < 1 or num_patches < 1:
            raise UserError("Forecast: horizon and num_patches are whole numbers from 1 on")
        self.horizon = horizon
        self.num_patches = num_patches
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)

    def make_parameters(self, dim: int) -> None:
        width = dim * (self.num_patches if self.pooling == "flat" else 1)
        self.linear = nn.Linear(width, self.horizon)
        initialise(self.linear)

    def encode_target(self, sample: Sample) -> Float[Tensor, "C horizon"]:
        series = read_series(sample[self.target])  # type: ignore[index]
        if len(series) != self.horizon:
            raise UserError(
                f"target {self.target!r}: expected {self.horizon} steps, found {len(series)}"
            )
        return torch.from_numpy(series.T.copy())

    def collate(self, targets: Sequence[Tensor]) -> Tensor | None:
        """The channels (K, horizon) of all samples, one after the other."""
        return torch.cat(list(targets)) if targets else None

    def read(self, columns: Tokens, view: View, tokenizers: Tokenizers) -> Float[Tensor, "K L"]:
        """The next steps of the K channels of all samples, in units of each one's scale."""
        wrong = [length for length in columns.lengths if length % self.num_patches]
        if wrong:
            raise UserError(
                f"Forecast: a series of {wrong[0]} columns, expected {self.num_patches} a channel"
            )
        patches = columns.rows.unflatten(0, (-1, self.num_patches)).float()
        if self.pooling == "flat":
            pooled = patches.flatten(1)
        else:
            pooled = patches.mean(1) if self.pooling == "mean" else patches.amax(1)
        return self.linear(self.dropout(pooled)).float()

    def logits(self, columns: Tokens, view: View, tokenizers: Tokenizers) -> Float[Tensor, "K L"]:
        level, scale = self._levels(view, tokenizers)
        return self.read(columns, view, tokenizers) * scale + level

    def losses(
        self, reading: Float[Tensor, "K L"], view: View, tokenizers: Tokenizers
    ) -> Float[Tensor, " K"]:
        if not view.num_samples:
            return reading.sum(1)
        level, scale = self._levels(view, tokenizers)
        error = reading - (view.target - level) / scale
        # an unknown future counts as foreseen
        return error.nan_to_num().square().mean(1)

    def metrics(self) -> Figures:
        return Figures(
            {"mae": scores.MeanAbsoluteError(), "rmse": scores.MeanSquaredError(squared=False)}
        )

    def score(
        self,
        metrics: Figures,
        reading: Float[Tensor, "K L"],
        view: View,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        """Figures over all channels and steps; a sample of them is a channel."""
        if not len(sequences):
            return
        level, scale = self._levels(view, tokenizers)
        runs = self._channels(view)
        rows = [row for sequence in sequences for row in runs[sequence]]
        target = take(view.target, rows)
        predicted = take(reading * scale + level, rows)
        predicted = torch.where(target.isnan(), 0.0, predicted)
        metrics.update(predicted.contiguous(), target.nan_to_num().contiguous())

    def predict(
        self, reading: Float[Tensor, "K L"], view: View, tokenizers: Tokenizers
    ) -> list[dict[str, Any]]:
        level, scale = self._levels(view, tokenizers)
        values = reading * scale + level
        return [
            {"forecast": values[run.start : run.stop].mT.tolist()} for run in self._channels(view)
        ]

    def _channels(self, view: View) -> list[range]:
        """Of each sample the numbers of its channels among all."""
        [features] = view.features.values()
        runs, first = [], 0
        for length in features.lengths:
            runs.append(range(first, first + length // self.num_patches))
            first = runs[-1].stop
        return runs

    def _levels(self, view: View, tokenizers: Tokenizers) -> tuple[Tensor, Tensor]:
        """Level and scale (K, 1) of all channels."""
        [(column, features)] = view.features.items()
        tokenizer = tokenizers[self.inputs[column]]
        if not isinstance(tokenizer, SeriesPatches):
            raise UserError(
                f"Forecast reads what SeriesPatches makes, found {type(tokenizer).__name__}"
            )
        places: Int[Tensor, " K"] = torch.arange(
            0, features.num_tokens, self.num_patches, device=features.values.device
        )
        level, scale = tokenizer.levels(features)
        return level[places, None], scale[places, None]
