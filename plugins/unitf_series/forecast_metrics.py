"""The metrics of forecasts, beside those of the naive and the seasonal forecast."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

if TYPE_CHECKING:  # it imports torchmetrics
    from unitf.tasks import TaskMetrics


def forecast_metrics(quantiles: Sequence[float]) -> "TaskMetrics":
    """Creates the metrics; a mean that gets no number is left out."""
    from torchmetrics import MeanMetric, Metric, regression

    from unitf.tasks import TaskMetrics

    metrics: dict[str, Metric] = {
        "mse": regression.MeanSquaredError(),
        "mae": regression.MeanAbsoluteError(),
        "rmse": regression.MeanSquaredError(squared=False),
    }
    means = ["mase", "crps", *(["coverage", "width"] if len(quantiles) > 1 else [])]
    means += ["naive_mse", "naive_mae", "seasonal_mse", "seasonal_mae"]
    return TaskMetrics(metrics | {name: MeanMetric(nan_strategy="ignore") for name in means})


def update_forecast_metrics(
    metrics: "TaskMetrics",
    predicted: Float[Tensor, "K L Q"],
    target: Float[Tensor, "K L"],
    quantiles: Sequence[float],
    naive_error: Float[Tensor, "K 1"],
) -> None:
    """Updates the metrics of the forecasts themselves; a channel counts as one sample.

    Args:
        predicted: the quantiles, in rising order; of a point forecast one.
        target: what came; NaN where it is not known.
        quantiles: the probability of each quantile; none for a point forecast.
        naive_error: the unit of MASE of each channel.
    """
    known = ~target.isnan()
    metrics["num_samples"].update(target, target)
    if not known.any():
        return
    point = predicted[..., list(quantiles).index(0.5) if quantiles else 0]
    for name in ("mse", "mae", "rmse"):
        metrics[name].update(point[known], target[known])
    error = (point - target).abs()
    metrics["mase"].update((error / naive_error)[known])
    if not quantiles:
        metrics["crps"].update(error[known])
        return
    metrics["crps"].update(pinball(predicted, target, quantiles)[known])
    if len(quantiles) > 1:
        low, high = predicted[..., 0], predicted[..., -1]
        inside = (target >= low) & (target <= high)
        metrics["coverage"].update(inside[known].float())
        metrics["width"].update((high - low)[known])


def update_compared(
    metrics: "TaskMetrics", name: str, predicted: Float[Tensor, "K L"], target: Float[Tensor, "K L"]
) -> None:
    """Updates the figures of a forecast that needs no model, over the same windows."""
    known: Bool[Tensor, "K L"] = ~(target.isnan() | predicted.isnan())
    error = (predicted - target)[known]
    if len(error):
        metrics[f"{name}_mse"].update(error.square())
        metrics[f"{name}_mae"].update(error.abs())


def pinball(
    predicted: Float[Tensor, "K L Q"], target: Float[Tensor, "K L"], quantiles: Sequence[float]
) -> Float[Tensor, "K L"]:
    """Returns twice the mean pinball loss of some quantiles, which approximates the CRPS.

    Of the median alone it is the absolute error.
    """
    levels = torch.tensor(quantiles, dtype=predicted.dtype, device=predicted.device)
    error = target[..., None] - predicted
    return 2 * torch.maximum(levels * error, (levels - 1) * error).mean(-1)
