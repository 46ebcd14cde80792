"""Forecast: a task that predicts the next steps of every channel of a series."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf import (
    Column,
    EncodedSample,
    Features,
    Proposal,
    Sample,
    Task,
    TaskBatch,
    Tokenizer,
    Tokens,
    UserError,
)
from unitf.tasks import Tokenizers, take
from unitf.tokenizer import initialise
from unitf_series.series_patches import SeriesPatches, read_series

if TYPE_CHECKING:  # it imports torchmetrics
    from unitf.tasks import TaskMetrics


class Forecast(Task):
    """Predicts the next steps of each channel from the channel's columns (Nie et al., 2023).

    The loss is the squared error in units of the channel's scale, so that the unit of a channel
    does not change its weight. The unit is the deviation of the window that is read, but at least
    the usual one of the channel's training windows: a window in which a channel hardly moves would
    else outweigh all others. Metrics and predictions are in the unit of the series. Unknown future
    steps (NaN) count neither in the loss nor in the metrics.

    Args:
        inputs: the data column of the series; its tokenizer is SeriesPatches.
        target: the data column of the next steps, an array (horizon, C).
        horizon: the number of predicted steps; None: as many as the target of the first training
            sample has.
        num_patches: the number of columns of each channel.
        pooling: how these columns become one vector: "flat" (concatenated), "mean" or "max".
        dropout: the probability of dropout on the pooled vector, before the linear layer.
    """

    monitor = "rmse"

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        horizon: int | None = None,
        num_patches: int = 1,
        pooling: Literal["flat", "mean", "max"] = "flat",
        dropout: float = 0.0,
        weight: float = 1.0,
    ) -> None:
        super().__init__(inputs, target, weight)
        if len(self.inputs) != 1:
            raise UserError(f"Forecast: expected one input, found {len(self.inputs)}")
        if (horizon is not None and horizon < 1) or num_patches < 1:
            raise UserError("Forecast: horizon and num_patches are whole numbers from 1 on")
        self.given_horizon: int | None = horizon
        self.num_patches = num_patches
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)

    @classmethod
    def recognise(cls, target: Column | None, inputs: Sequence[Column]) -> Proposal | None:
        """Recognises a target of arrays with as many channels as those of the only input."""
        if target is None or len(inputs) != 1:
            return None
        read, wanted = SeriesPatches.recognise(inputs[0]), SeriesPatches.recognise(target)
        if read is None or wanted is None:
            return None
        if read.settings["channels"] != wanted.settings["channels"]:
            return None
        settings = {"num_patches": read.recipe["model.core.chunk"], "dropout": 0.2}
        steps, channels = wanted.settings["steps"], read.settings["channels"]
        reason = f"the next {steps} steps of each of {channels} channels"
        return Proposal(settings, 0.9, reason, {"trainer.max_epochs": 10})

    @property
    def horizon(self) -> int:
        """The number of predicted steps.

        Raises:
            UserError: it is neither given nor learned.
        """
        found = self.given_horizon or self.fitted.get("horizon")
        if found is None:
            raise UserError("Forecast: horizon is not given, expected it or training samples")
        return int(found)

    def make_parameters(self, dim: int) -> None:
        width = dim * (self.num_patches if self.pooling == "flat" else 1)
        self.linear = nn.Linear(width, self.horizon)
        initialise(self.linear)

    def fit(self, samples: Iterable[Sample]) -> None:
        """Learns the usual deviation of each channel, and the horizon if it is not given.

        The deviation is the root mean square over the windows.
        """
        [column] = self.inputs
        sums, counts = np.zeros(0), np.zeros(0)
        horizon: int | None = None
        for sample in samples:
            if self.given_horizon is None and horizon is None:
                horizon = len(read_series(sample[self.target]))  # type: ignore[index]
            series = read_series(sample[column])
            known = np.isfinite(series)
            level = np.nan_to_num(series).sum(0) / known.sum(0).clip(1)
            variance = np.square(series - level, where=known, out=np.zeros_like(series))
            variance = variance.sum(0) / known.sum(0).clip(1)
            added = (0, max(0, len(variance) - len(sums)))
            sums, counts = np.pad(sums, added), np.pad(counts, added)
            sums[: len(variance)] += variance
            counts[: len(variance)] += 1
        deviation = np.sqrt(sums / counts)
        deviation[deviation == 0] = 1.0  # a channel that never moved
        learned = {} if horizon is None else {"horizon": horizon}
        self.fitted = {"deviation": deviation.tolist(), **learned}

    def encode_target(self, sample: Sample) -> Float[Tensor, "C horizon"]:
        series = read_series(sample[self.target])  # type: ignore[index]
        if len(series) != self.horizon:
            raise UserError(
                f"target {self.target!r}: expected {self.horizon} steps, found {len(series)}"
            )
        return torch.from_numpy(series.T.copy())

    def sample_info(self, encoding: EncodedSample) -> int:
        """Returns the number of channels of the series."""
        [(column, features)] = encoding.features.items()
        _check(encoding.inputs[column])
        patches = int(features.positions[0].max()) + 1
        if patches != self.num_patches:
            raise UserError(
                f"{column}: {patches} patches a channel, expected num_patches = {self.num_patches}"
            )
        return features.num_tokens // patches

    def encode_token_target(self, encoding: EncodedSample, sample_info: int) -> dict[str, Tensor]:
        """Returns the future (C, horizon) in units of each channel's scale, and the scale (C, 1).

        "factor" (C, 1) converts errors in units of the scale to those of the loss. The level is
        subtracted in float64: beside a large level float32 would lose the future.
        """
        future = self.encode_target(encoding.sample)
        [(column, features)] = encoding.features.items()
        if len(future) != sample_info:
            raise UserError(
                f"target {self.target!r}: expected {sample_info} channels as in {column}, "
                f"found {len(future)}"
            )
        tokenizer = _check(encoding.inputs[column])
        level, scale = self._levels(features, tokenizer)
        unit = scale
        if tokenizer.scaling != "none":  # else errors are in the unit of the series
            unit = torch.maximum(scale, self._usual(len(scale))[:, None])
        future = ((future - level) / scale).float()
        return {"future": future, "scale": scale, "factor": scale / unit}

    def _usual(self, count: int) -> Float[Tensor, " C"]:
        """Returns the usual deviations of the first channels; 0 where it was not learned.

        More channels than the training data had get the mean of these.
        """
        usual = cast("list[float]", self.fitted.get("deviation", [0.0]))
        more = [sum(usual) / len(usual)] * (count - len(usual))
        return torch.tensor([*usual[:count], *more])

    def collate(self, targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor] | None:
        """Concatenates the K channels of all samples."""
        if not targets:
            return None
        return {name: torch.cat([one[name] for one in targets]) for name in targets[0]}

    def num_losses(self, batch: TaskBatch, tokenizers: Tokenizers) -> int:
        """Returns the number of channels."""
        return sum(len(channels) for channels in self._channels(batch))

    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "K L"]:
        """Returns the next steps of the K channels of all samples, in units of each scale."""
        [features] = batch.features.values()
        for name, num_columns, num_patches in zip(
            batch.names, columns.lengths, features.lengths, strict=True
        ):
            if num_columns != num_patches:
                raise UserError(
                    f"{name}: Forecast reads {num_patches} patches and nothing beside them "
                    f"(a prefix, a class token), found {num_columns} columns"
                )
        patches = columns.rows.unflatten(0, (-1, self.num_patches)).float()
        if self.pooling == "flat":
            pooled = patches.flatten(1)
        else:
            pooled = patches.mean(1) if self.pooling == "mean" else patches.amax(1)
        return self.linear(self.dropout(pooled)).float()

    def logits(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "K L"]:
        return self._in_unit(self.outputs(columns, batch, tokenizers), batch, tokenizers).float()

    def losses(
        self, output: Float[Tensor, "K L"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " K"]:
        if not batch.num_samples:
            return output.sum(1)
        future = batch.target["future"]
        known = ~future.isnan()
        error = torch.where(known, (output - future) * batch.target["factor"], 0.0)
        return error.square().sum(1) / known.sum(1).clamp(min=1)

    def to_average(self, output: Float[Tensor, "K L"]) -> Float[Tensor, "K L"]:
        return output

    def metrics(self) -> "TaskMetrics":
        from torchmetrics import regression as scores

        from unitf.tasks import TaskMetrics

        return TaskMetrics(
            {"mae": scores.MeanAbsoluteError(), "rmse": scores.MeanSquaredError(squared=False)}
        )

    def update_metrics(
        self,
        metrics: "TaskMetrics",
        output: Float[Tensor, "K L"],
        batch: TaskBatch,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        """Updates metrics over all channels and steps; a channel counts as one sample."""
        if not len(sequences):
            return
        runs = self._channels(batch)
        rows = [row for sequence in sequences for row in runs[sequence]]
        # in the channel's unit, but relative to its level: a large level would cost precision
        target = take(batch.target["future"] * batch.target["scale"], rows)
        predicted = take(output * batch.target["scale"], rows)
        known = ~target.isnan()
        metrics["num_samples"].update(predicted, target)
        for name in ("mae", "rmse"):
            metrics[name].update(predicted[known], target[known])

    def predict(
        self, output: Float[Tensor, "K L"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[dict[str, Any]]:
        values = self._in_unit(output.detach().cpu(), batch.to("cpu"), tokenizers)
        return [
            {"forecast": values[run.start : run.stop].mT.tolist()} for run in self._channels(batch)
        ]

    def prediction_files(
        self, prediction: dict[str, Any], sample: Sample, tokenizers: Tokenizers
    ) -> dict[str, tuple[str, bytes]]:
        """Returns the forecast as a table: a row for each time."""
        [used] = self.inputs.values()
        file = tokenizers[used].to_file(np.array(prediction["forecast"]))
        return {} if file is None else {"forecast": file}

    @staticmethod
    def examples() -> dict[str, Any]:
        """Returns the arguments and samples that `unitf plugins check Forecast` uses."""
        random = np.random.default_rng(0)
        samples = [
            {"series": random.normal(size=(16, c)).cumsum(0), "next": random.normal(size=(3, c))}
            for c in (1, 2, 3, 2)
        ]
        settings = {"inputs": ["series"], "target": "next", "horizon": 3, "num_patches": 4}
        tokenizers = {"series": lambda dim: SeriesPatches(dim, patch=4)}
        return {"init_args": settings, "samples": samples, "tokenizers": tokenizers}

    def _channels(self, batch: TaskBatch) -> list[range]:
        """Returns for each sample the indices of its channels among all channels."""
        [features] = batch.features.values()
        runs, first = [], 0
        for length in features.lengths:
            runs.append(range(first, first + length // self.num_patches))
            first = runs[-1].stop
        return runs

    def _in_unit(
        self, output: Float[Tensor, "K L"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "K L"]:
        """Returns the outputs in the unit of the series, as float64."""
        [(column, features)] = batch.features.items()
        level, scale = self._levels(features, tokenizers[self.inputs[column]])
        return output * scale + level

    def _levels(self, features: Features, tokenizer: Tokenizer) -> tuple[Tensor, Tensor]:
        """Returns level (float64) and scale, (K, 1), of all channels."""
        level, scale = _check(tokenizer).levels(features)
        return level[:: self.num_patches, None], scale[:: self.num_patches, None]


def _check(tokenizer: Tokenizer) -> SeriesPatches:
    """Returns the tokenizer, which must be SeriesPatches: its features have a level."""
    if not isinstance(tokenizer, SeriesPatches):
        raise UserError(
            f"Forecast reads what SeriesPatches makes, found {type(tokenizer).__name__}"
        )
    return tokenizer
