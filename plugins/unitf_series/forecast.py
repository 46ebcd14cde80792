"""Forecast: a task that predicts the next steps of every channel of a series."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf import Column, Proposal, Sample, TaskBatch, Tokens, UserError
from unitf.tasks import Tokenizers, input_rows, take
from unitf.tokenizer import initialise
from unitf_series.forecast_metrics import (
    forecast_metrics,
    pinball,
    update_compared,
    update_forecast_metrics,
)
from unitf_series.future_task import FutureTask, checked
from unitf_series.series_patches import SeriesPatches, read_series

if TYPE_CHECKING:  # it imports torchmetrics
    from unitf.tasks import TaskMetrics


class Forecast(FutureTask):
    """Predicts the next steps of each channel from the channel's columns (Nie et al., 2023).

    The first input is the series, which SeriesPatches encodes. Further inputs, of any modality, are
    attended to by the core; the columns of the series alone are read. A core with `chunk` keeps
    the channels apart, and cannot attend to further inputs.

    The loss is the squared error, or the pinball loss of the quantiles, in units of the channel's
    scale, so that the unit of a channel does not change its weight. The unit is the deviation of
    the window that is read, but at least the usual one of the channel's training windows: a window
    in which a channel hardly moves would else outweigh all others. Metrics and predictions are in
    the unit of the series. Unknown future steps (NaN) count neither in the loss nor in the metrics.

    Beside its own, the metrics have the errors of the naive forecast, which repeats the last value,
    and of the seasonal one, which repeats the last season. MASE (Hyndman & Koehler, 2006) is the
    absolute error in units of the seasonal differences of the training windows.

    Args:
        inputs: the data column of the series, then those of further inputs.
        target: the data column of the next steps, an array (horizon, C).
        horizon: the number of predicted steps; None: as many as the target of the first training
            sample has.
        num_patches: the number of columns of each channel; None: as many as the tokenizer makes of
            its `steps`, or of the first training sample.
        pooling: how these columns become one vector: "flat" (concatenated), "mean" or "max".
        dropout: the probability of dropout on the pooled vector, before the linear layer.
        quantiles: the probabilities of the quantiles to predict, in rising order, with the median
            0.5, which is then the forecast; None: the mean alone. They never cross.
        season: the steps of a season, for the metrics; None: learned from the training windows.
        shortcut: "ridge" adds a linear map from the past of each channel to its future. It is
            fitted in closed form before the training, and the core learns what it leaves. None:
            the core learns everything.
    """

    monitor = "rmse"

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        horizon: int | None = None,
        num_patches: int | None = None,
        pooling: Literal["flat", "mean", "max"] = "flat",
        dropout: float = 0.0,
        weight: float = 1.0,
        quantiles: list[float] | None = None,
        season: int | None = None,
        shortcut: Literal["ridge"] | None = None,
    ) -> None:
        super().__init__(inputs, target, weight, horizon, num_patches, quantiles, season)
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.ridge = shortcut == "ridge"
        self.shortcut: nn.Linear | None = None

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
        settings: dict[str, object] = {"dropout": 0.2, "quantiles": [0.1, 0.5, 0.9]}
        length, patch = (cast(int, read.settings[name]) for name in ("steps", "patch"))
        if length % patch == 0:  # the patches cover all steps
            settings["shortcut"] = "ridge"
        sizes = f"{wanted.settings['steps']} steps of each of {read.settings['channels']} channels"
        reason = f"the next {sizes}, with a band of 80 %"
        return Proposal(settings, 0.9, reason, {"trainer.max_epochs": 10})

    def requirements(self, tokenizers: Tokenizers) -> dict[str, object]:
        """Returns the number of patches, and of the steps that they cover, of each channel."""
        tokenizer = tokenizers[self.inputs[self.series]]
        if not isinstance(tokenizer, SeriesPatches) or (self.given_patches and not self.ridge):
            return {}
        steps = tokenizer.steps or self.fitted.get("steps")
        if steps is None:
            raise UserError("Forecast: num_patches is not given, expected it or training samples")
        count = self.given_patches or max(1, tokenizer.count(int(steps)))
        if not self.ridge:
            return {"num_patches": count}
        if (kind := tokenizer.scaling) != "deviation":
            raise UserError(f"Forecast: shortcut: scaling: found {kind!r}, expected 'deviation'")
        return {"num_patches": count, "window": tokenizer.covered(count)}

    def make_parameters(
        self, dim: int, num_patches: int | None = None, window: int | None = None
    ) -> None:
        """Makes the linear layer, and the shortcut beside it.

        Args:
            dim: D, the width of a column.
            num_patches: the patches of each channel, as `requirements` returns them.
            window: the steps that these cover, which the shortcut reads.
        """
        self.num_patches = self.given_patches or num_patches or 1
        width = dim * (self.num_patches if self.pooling == "flat" else 1)
        self.linear = nn.Linear(width, self.horizon * max(1, len(self.quantiles)))
        initialise(self.linear)
        if self.ridge:
            self._make_shortcut(window or 1)

    def _make_shortcut(self, window: int) -> None:
        """Makes the shortcut, which training does not change; the core begins with no part."""
        self.shortcut = nn.Linear(window, self.horizon, bias=False).requires_grad_(False)
        weight = self.fitted.get("ridge")
        if weight is None:
            raise UserError("Forecast: shortcut: ridge needs training samples")
        if tuple(weight.shape) != (self.horizon, window):
            raise UserError(
                f"Forecast: shortcut: ridge reads the whole past of {weight.shape[1]} steps, the "
                f"patches of {self.series} cover {window}"
            )
        with torch.no_grad():
            self.shortcut.weight.copy_(weight)
            self.linear.weight.zero_()
            self.linear.bias.zero_()
            if self.quantiles:
                self.linear.bias.copy_(self.fitted["residuals"].flatten())

    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "K L *Q"]:
        """Returns the next steps of the K channels of all samples, in units of each scale.

        Of each step it is the mean, or the quantiles in rising order.
        """
        patches = self._own(columns, batch, tokenizers).unflatten(0, (-1, self.num_patches)).float()
        if self.pooling == "flat":
            pooled = patches.flatten(1)
        else:
            pooled = patches.mean(1) if self.pooling == "mean" else patches.amax(1)
        steps = self.linear(self.dropout(pooled)).float()
        steps = steps.unflatten(1, (self.horizon, -1))
        if self.shortcut is not None:
            tokenizer = checked(tokenizers[self.inputs[self.series]])
            past = tokenizer.rejoined(batch.features[self.series], self.num_patches)
            with torch.autocast(past.device.type, enabled=False):
                steps = steps + self.shortcut(past)[..., None]
        return steps.sort(-1).values if self.quantiles else steps.squeeze(-1)

    def _own(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "N D"]:
        """Returns the columns of the series, one in each row."""
        features = batch.features[self.series]
        if len(self.inputs) > 1:
            return input_rows(columns, batch, self.inputs, tokenizers, self.series)
        for name, num_columns, num_patches in zip(
            batch.names, columns.lengths, features.lengths, strict=True
        ):
            if num_columns != num_patches:
                raise UserError(
                    f"{name}: Forecast reads {num_patches} patches and nothing beside them "
                    f"(a prefix, a class token), found {num_columns} columns"
                )
        return columns.rows

    def logits(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "K L *Q"]:
        return self._in_unit(self.outputs(columns, batch, tokenizers), batch, tokenizers).float()

    def losses(
        self, output: Float[Tensor, "K L *Q"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " K"]:
        if not batch.num_samples:
            return output.flatten(1).sum(1)
        future, factor = batch.target["future"], batch.target["factor"]
        known = ~future.isnan()
        future = future.nan_to_num()  # where it counts nothing: NaN times 0 is NaN in gradients
        if self.quantiles:
            step = pinball(output, future, self.quantiles) * factor
        else:
            step = ((output - future) * factor).square()
        return torch.where(known, step, 0.0).sum(1) / known.sum(1).clamp(min=1)

    def to_average(self, output: Float[Tensor, "K L *Q"]) -> Float[Tensor, "K L *Q"]:
        return output

    def metrics(self) -> "TaskMetrics":
        return forecast_metrics(self.quantiles)

    def update_metrics(
        self,
        metrics: "TaskMetrics",
        output: Float[Tensor, "K L *Q"],
        batch: TaskBatch,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        """Updates metrics over all channels and steps; a channel counts as one sample."""
        if not len(sequences):
            return
        runs = self.channels(batch)
        rows = [row for sequence in sequences for row in runs[sequence]]
        # in the channel's unit, but relative to its level: a large level would cost precision
        scale = batch.target["scale"]
        target = take(batch.target["future"] * scale, rows)
        steps = output if self.quantiles else output[..., None]
        errors = [self.learned("naive_errors", float("nan"), len(run)) for run in runs]
        unit = take(torch.cat(errors)[:, None].to(target), rows)
        predicted = take(steps * scale[..., None], rows)
        update_forecast_metrics(metrics, predicted, target, self.quantiles, unit)
        for name in ("naive", "seasonal"):
            if name in batch.target:
                compared = take(batch.target[name] * scale, rows)
                update_compared(metrics, name, compared, target)

    def predict(
        self, output: Float[Tensor, "K L *Q"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[dict[str, Any]]:
        """Returns the forecast of each sample (steps of channels), and its quantiles by name."""
        values = self._in_unit(output.detach().cpu(), batch.to("cpu"), tokenizers)
        if not self.quantiles:
            return [
                {"forecast": values[run.start : run.stop].mT.tolist()}
                for run in self.channels(batch)
            ]
        parts = dict(zip(map(str, self.quantiles), values.unbind(-1), strict=True))
        return [
            {
                "forecast": parts["0.5"][run.start : run.stop].mT.tolist(),
                "quantiles": {
                    name: part[run.start : run.stop].mT.tolist() for name, part in parts.items()
                },
            }
            for run in self.channels(batch)
        ]

    def prediction_files(
        self, prediction: dict[str, Any], sample: Sample, tokenizers: Tokenizers
    ) -> dict[str, tuple[str, bytes]]:
        """Returns the forecast as a table, a row for each time, and as a picture."""
        forecast = np.array(prediction["forecast"])
        file = tokenizers[self.inputs[self.series]].to_file(forecast)
        files = {} if file is None else {"forecast": file}
        if sample.get(self.series) is not None:
            from unitf_series.forecast_picture import forecast_picture

            past, band, name = read_series(sample[self.series]), None, ""
            if len(self.quantiles) > 1:
                ends = [str(self.quantiles[end]) for end in (0, -1)]
                low, high = (np.array(prediction["quantiles"][end]) for end in ends)
                band, name = (low, high), f"{ends[0]} to {ends[1]}"
            names = prediction.get("columns", ())
            files["picture"] = (".png", forecast_picture(past, forecast, band, name, names))
        return files

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

    def _in_unit(
        self, output: Float[Tensor, "K L *Q"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "K L *Q"]:
        """Returns the outputs in the unit of the series, as float64."""
        tokenizer = tokenizers[self.inputs[self.series]]
        level, scale = self.levels(batch.features[self.series], tokenizer)
        if self.quantiles:
            level, scale = level[..., None], scale[..., None]
        return output * scale + level
