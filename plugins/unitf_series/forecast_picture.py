"""A picture of a forecast: the end of the past, the forecast, and the band around it."""

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

_MOST = 8  # channels that are drawn


def forecast_picture(
    past: Float[np.ndarray, "T C"],
    forecast: Float[np.ndarray, "L C"],
    band: tuple[Float[np.ndarray, "L C"], Float[np.ndarray, "L C"]] | None = None,
    band_name: str = "",
    names: Sequence[str] = (),
) -> bytes:
    """Returns a picture as PNG with a panel for each channel, of many for some of them.

    Args:
        past: what the model read.
        forecast: the steps after it.
        band: the lowest and the highest quantile.
        band_name: what the legend calls the band.
        names: of the channels, where they have names.
    """
    from matplotlib.figure import Figure

    count = forecast.shape[1]
    chosen = np.unique(np.linspace(0, count - 1, _MOST).round().astype(int))
    figure = Figure(figsize=(8, 0.4 + 1.7 * len(chosen)), layout="constrained")
    panels = figure.subplots(len(chosen), 1, squeeze=False, sharex=True)[:, 0]
    ahead, recent = np.arange(1, len(forecast) + 1), past[-2 * len(forecast) :]
    for axes, channel in zip(panels, chosen, strict=True):
        axes.plot(np.arange(1 - len(recent), 1), recent[:, channel], color="0.35", label="past")
        if band is not None:
            low, high = (side[:, channel] for side in band)
            axes.fill_between(ahead, low, high, color="tab:orange", alpha=0.3, label=band_name)
        axes.plot(ahead, forecast[:, channel], color="tab:orange", label="forecast")
        axes.set_title(names[channel] if names else f"channel {channel + 1}", fontsize=9)
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel("steps ahead")
    panels[0].legend(fontsize=8, loc="upper left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()
