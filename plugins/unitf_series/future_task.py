"""FutureTask: the part of Forecast that knows series and their futures, without parameters."""

import logging
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unitf import (
    EncodedSample,
    Features,
    Sample,
    Task,
    TaskBatch,
    Tokenizer,
    TransformerConfig,
    UserError,
)
from unitf.tasks import Tokenizers
from unitf_series.learned_windows import WindowFit
from unitf_series.series_patches import SeriesPatches, read_series
from unitf_series.training_windows import seasonal

_log: logging.Logger = logging.getLogger(__name__)
_NO_SEASON = 1


class FutureTask(Task):
    """Learns what is usual in windows, and encodes the future of each.

    The first input is the series. The arguments are those of Forecast.
    """

    ridge: bool = False
    """Whether `fit` learns a linear map from the past to the future too."""

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        weight: float,
        horizon: int | None,
        num_patches: int | None,
        quantiles: list[float] | None,
        season: int | None,
    ) -> None:
        super().__init__(inputs, target, weight)
        if not self.inputs:
            raise UserError("Forecast: inputs: found none, expected the series first")
        given = {"horizon": horizon, "num_patches": num_patches, "season": season}
        for name, value in given.items():
            if value is not None and value < 1:
                raise UserError(f"Forecast: {name}: expected 1 or more, found {value}")
        _check_quantiles(quantiles)
        self.series: str = next(iter(self.inputs))
        self.given_horizon: int | None = horizon
        self.given_patches: int | None = num_patches
        self.num_patches: int = num_patches or 1
        self.quantiles: list[float] = quantiles or []
        self.given_season: int | None = season

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

    @property
    def season(self) -> int:
        """The steps of a season; 1: there is none."""
        return int(self.given_season or self.fitted.get("season", _NO_SEASON))

    def accepts(self, sample: Sample, labelled: bool = True) -> bool:
        """Returns whether a sample has the series and, if `labelled`, its future."""
        return sample.get(self.series) is not None and super().accepts(sample, labelled)

    def check_core(self, core: TransformerConfig) -> None:
        """Checks that a core keeps channels apart where they end, and reads further inputs.

        Raises:
            UserError: it does not.
        """
        if core.chunk is not None and len(self.inputs) > 1 and not core.global_blocks:
            raise UserError(
                f"{type(self).__name__} reads {', '.join(self.inputs)} together, but "
                f"model.core.chunk {core.chunk} keeps their tokens apart, expected no chunk"
            )
        known = self.given_patches is not None or self.built is not None
        if known and len(self.inputs) == 1 and core.chunk not in (None, self.num_patches):
            raise UserError(
                f"model.core.chunk: found {core.chunk}, expected the {self.num_patches} patches of "
                f"a channel of {self.series}, or none"
            )

    def fit(self, samples: Iterable[Sample]) -> None:
        """Learns the usual deviation of each channel, the season, and what is not given.

        The deviation is the root mean square over the windows.
        """
        found = WindowFit(ridge=self.ridge)
        for sample in samples:
            future = None if self.target is None else sample.get(self.target)
            found.add(
                read_series(sample[self.series]), None if future is None else read_series(future)
            )
        self.fitted = found.learned(self.given_season, self.quantiles)
        if self.given_horizon is not None:
            self.fitted.pop("horizon", None)
        season = self.season
        what = f"{season} steps" if season > _NO_SEASON else "none was found"
        if self.given_season is None:
            _log.warning("Forecast %s: the season is worked out: %s (season)", self.target, what)

    def encode_target(self, sample: Sample) -> Float[Tensor, "C horizon"]:
        series = read_series(sample[self.target])  # type: ignore[index]
        if len(series) != self.horizon:
            raise UserError(
                f"target {self.target!r}: expected {self.horizon} steps, found {len(series)}"
            )
        return torch.from_numpy(series.T.copy())

    def sample_info(self, encoding: EncodedSample) -> int:
        """Returns the number of channels of the series."""
        column = self.series
        if column not in encoding.features:
            raise UserError(f"{column}: it is missing, and Forecast goes on with it")
        features = encoding.features[column]
        checked(encoding.inputs[column])
        patches = int(features.positions[0].max()) + 1
        if patches != self.num_patches:
            raise UserError(
                f"{column}: {patches} patches a channel, expected num_patches = {self.num_patches}"
            )
        return features.num_tokens // patches

    def encode_token_target(self, encoding: EncodedSample, sample_info: int) -> dict[str, Tensor]:
        """Returns the future (C, horizon) in units of each channel's scale, and the scale (C, 1).

        "factor" (C, 1) converts errors in units of the scale to those of the loss. The level is
        subtracted in float64: beside a large level float32 would lose the future. Where nothing is
        augmented, "naive" and "seasonal" are the forecasts that need no model.
        """
        future = self.encode_target(encoding.sample)
        column = self.series
        if len(future) != sample_info:
            raise UserError(
                f"target {self.target!r}: expected {sample_info} channels as in {column}, "
                f"found {len(future)}"
            )
        tokenizer = checked(encoding.inputs[column])
        level, scale = self.levels(encoding.features[column], tokenizer)
        unit = scale
        if tokenizer.scaling != "none":  # else errors are in the unit of the series
            unit = torch.maximum(scale, self._usual(len(scale))[:, None])
        target = {
            "future": ((future - level) / scale).float(),
            "scale": scale,
            "factor": scale / unit,
        }
        if not encoding.train:
            simple = self._simple(read_series(encoding.sample[column]))
            target |= {n: ((each - level) / scale).float() for n, each in simple.items()}
        return target

    def _simple(self, past: Float[np.ndarray, "T C"]) -> dict[str, Tensor]:
        """Returns the naive and the seasonal forecast (C, horizon); NaN where there is none."""
        season = self.season
        made = {"naive": seasonal(past, _NO_SEASON, self.horizon)}
        made["seasonal"] = np.full_like(made["naive"], np.nan)
        if _NO_SEASON < season <= len(past):
            made["seasonal"] = seasonal(past, season, self.horizon)
        return {name: torch.from_numpy(each.T.copy()) for name, each in made.items()}

    def _usual(self, count: int) -> Float[Tensor, " C"]:
        """Returns the usual deviations of the first channels; 0 where it was not learned."""
        return self.learned("deviation", 0.0, count)

    def learned(self, name: str, otherwise: float, count: int) -> Float[Tensor, " C"]:
        """Returns a learned number of each of the first channels.

        More channels than the training data had get the mean of these.
        """
        usual = cast("list[float]", self.fitted.get(name, [otherwise]))
        more = [sum(usual) / len(usual)] * (count - len(usual))
        return torch.tensor([*usual[:count], *more])

    def collate(self, targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor] | None:
        """Concatenates the K channels of all samples."""
        if not targets:
            return None
        return {name: torch.cat([one[name] for one in targets]) for name in targets[0]}

    def num_losses(self, batch: TaskBatch, tokenizers: Tokenizers) -> int:
        """Returns the number of channels."""
        return sum(len(channels) for channels in self.channels(batch))

    def channels(self, batch: TaskBatch) -> list[range]:
        """Returns for each sample the indices of its channels among all channels."""
        features = batch.features[self.series]
        runs, first = [], 0
        for length in features.lengths:
            runs.append(range(first, first + length // self.num_patches))
            first = runs[-1].stop
        return runs

    def levels(self, features: Features, tokenizer: Tokenizer) -> tuple[Tensor, Tensor]:
        """Returns level (float64) and scale, (K, 1), of all channels."""
        level, scale = checked(tokenizer).levels(features)
        return level[:: self.num_patches, None], scale[:: self.num_patches, None]


def checked(tokenizer: Tokenizer) -> SeriesPatches:
    """Returns the tokenizer, which must be SeriesPatches: its features have a level."""
    if not isinstance(tokenizer, SeriesPatches):
        raise UserError(
            f"Forecast reads what SeriesPatches makes, found {type(tokenizer).__name__}"
        )
    return tokenizer


def _check_quantiles(quantiles: list[float] | None) -> None:
    if quantiles is None:
        return
    rising = all(a < b for a, b in pairwise(quantiles))
    if not rising or 0.5 not in quantiles or not all(0 < q < 1 for q in quantiles):
        raise UserError(
            f"Forecast: quantiles: expected rising numbers between 0 and 1 with 0.5, "
            f"found {quantiles}"
        )
