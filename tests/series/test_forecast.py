"""Forecast: quantiles, seasons, further inputs, and a linear map that is fitted beforehand."""

import numpy as np
import pytest
import torch
from unitf_series import Forecast, SeriesPatches
from unitf_series.training_windows import filled, season_of, seasonal

from unitf import Learner, TransformerConfig, UserError
from unitf.data import Encoder
from unitf.data.encoder import Item

RANDOM = np.random.default_rng(5)
WAVE = np.sin(2 * np.pi * np.arange(240) / 12)[:, None] * [1, 4] + RANDOM.normal(size=(240, 2)) / 9
SAMPLES = [{"series": WAVE[n : n + 40], "future": WAVE[n + 40 : n + 46]} for n in range(0, 190, 5)]
BAND = [0.1, 0.5, 0.9]


def learner(inputs=("series",), chunk=10, fitted=SAMPLES, **options) -> Learner:
    torch.manual_seed(0)
    made = Learner(
        TransformerConfig(dim=16, depth=1, num_heads=2, chunk=chunk),
        {name: lambda dim: SeriesPatches(dim, patch=4) for name in inputs},
        {"next": Forecast(list(inputs), "future", **options)},
    )
    made.tasks["next"].fit(fitted)
    made.build_components()
    return made.eval()


def figures_of(model, samples=SAMPLES) -> dict[str, float]:
    batch = Encoder(model.tokenizers, model.tasks)(
        [Item(sample, str(n)) for n, sample in enumerate(samples)]
    )
    task, part, parts = model.tasks["next"], batch.task_batches["next"], dict(model.tokenizers)
    with torch.no_grad():
        output = model(batch)["next"]
    metrics = task.metrics()
    task.update_metrics(metrics, output, part, parts, range(len(samples)))
    losses = task.losses(output, part, parts)
    return {**{n: float(v) for n, v in metrics.compute().items()}, "loss": losses.mean().item()}


def test_quantiles_rise_and_the_figures_are_those_of_the_predictions():
    model = learner(quantiles=BAND)
    made = model.predict([{"series": sample["series"]} for sample in SAMPLES])
    parts = {q: np.array([one["quantiles"][str(q)] for one in made]) for q in BAND}
    assert (parts[0.1] <= parts[0.5]).all() and (parts[0.5] <= parts[0.9]).all()
    assert np.array_equal(parts[0.5], [one["forecast"] for one in made])
    truth, figures = np.array([sample["future"] for sample in SAMPLES]), figures_of(model)
    inside = (parts[0.1] <= truth) & (truth <= parts[0.9])
    losses = [np.maximum(q * (truth - p), (q - 1) * (truth - p)) for q, p in parts.items()]
    expected = {
        "mse": np.square(truth - parts[0.5]).mean(),
        "mae": np.abs(truth - parts[0.5]).mean(),
        "crps": 2 * np.mean(losses),
        "coverage": inside.mean(),
        "width": (parts[0.9] - parts[0.1]).mean(),
    }
    assert {name: figures[name] for name in expected} == pytest.approx(expected, rel=1e-3)


def test_figures_stand_beside_the_naive_and_the_seasonal_ones():
    model = learner()
    figures, task = figures_of(model), model.tasks["next"]
    assert task.season == 12 and figures["crps"] == pytest.approx(figures["mae"])
    truth = np.array([sample["future"] for sample in SAMPLES])
    last = np.array([sample["series"][-1:] for sample in SAMPLES])
    season = np.array([sample["series"][-12:-6] for sample in SAMPLES])
    unit = np.mean([np.abs(s["series"][12:] - s["series"][:-12]).mean(0) for s in SAMPLES], axis=0)
    made = np.array([one["forecast"] for one in model.predict(SAMPLES)])
    expected = {
        "naive_mse": np.square(truth - last).mean(),
        "seasonal_mae": np.abs(truth - season).mean(),
        "mase": (np.abs(truth - made) / unit).mean(),
    }
    assert {name: figures[name] for name in expected} == pytest.approx(expected, rel=1e-3)


def test_a_season_is_the_shortest_clear_peak_and_noise_has_none():
    hours = np.arange(480)
    daily = np.sin(2 * np.pi * hours / 24) + 0.02 * hours + RANDOM.normal(size=480) / 4
    assert season_of([(daily[:, None], daily[:0, None])]) == 24
    for other in (RANDOM.normal(size=480), RANDOM.normal(size=480).cumsum(), np.ones(480)):
        assert season_of([(other[:, None], other[:0, None])]) == 1


def test_what_is_missing_is_the_last_value_in_simple_forecasts():
    past = np.array([[np.nan, 1], [2, 5], [3, np.nan], [np.nan, np.nan]])
    assert filled(past).tolist() == [[2, 1], [2, 5], [3, 5], [3, 5]]
    assert seasonal(past, 2, 3)[:, 0].tolist() == [3, 3, 3]
    assert seasonal(np.arange(4.0)[:, None], 3, 5)[:, 0].tolist() == [1, 2, 3, 1, 2]


def test_the_number_of_patches_is_worked_out_and_the_chunk_must_be_it():
    assert learner().tasks["next"].num_patches == 10
    with pytest.raises(UserError, match=r"model.core.chunk: found 20, expected the 10 patches"):
        learner(chunk=20)


def test_further_inputs_are_attended_to_and_the_series_alone_is_read():
    samples = [{**sample, "load": sample["series"][:, :1] * n} for n, sample in enumerate(SAMPLES)]
    model = learner(["series", "load"], chunk=None, fitted=samples, pooling="mean")
    one, other = samples[3], {**samples[3], "load": RANDOM.normal(size=(60, 1)).cumsum(0)}
    alone = {"series": one["series"]}
    made = [np.array(p["forecast"]) for p in model.predict([one, other, alone])]
    assert made[0].shape == (6, 2) and np.abs(made[0] - made[1]).max() > 1e-5
    assert np.abs(made[0] - made[2]).max() > 1e-5
    batched = model.predict([alone, other, one])
    np.testing.assert_allclose(batched[2]["forecast"], made[0], rtol=0, atol=2e-6)
    assert not model.tasks["next"].accepts({"load": one["load"], "future": one["future"]})
    with pytest.raises(UserError, match=r"reads series, load together, but model.core.chunk 10"):
        learner(["series", "load"])


@pytest.mark.parametrize("stride", [4, 2])
def test_a_linear_series_is_forecast_before_any_training(stride):
    time = np.arange(400)
    line = np.stack([np.sin(time / 3), 50 + 7 * np.cos(time / 5)], axis=1)
    samples = [{"series": line[n : n + 32], "future": line[n + 32 : n + 36]} for n in range(300)]
    model = Learner(
        TransformerConfig(dim=8, depth=1, num_heads=2),
        {"series": lambda dim: SeriesPatches(dim, patch=4, stride=stride, steps=32)},
        {"next": Forecast(["series"], "future", quantiles=BAND, shortcut="ridge")},
    )
    model.tasks["next"].fit(samples)
    model.build_components()
    [made] = model.eval().predict([{"series": line[350:382]}])
    assert np.abs(np.array(made["forecast"]) - line[382:386]).max(0) == pytest.approx(
        [0, 0], abs=0.9
    )
    figures = figures_of(model, samples)
    assert figures["mse"] < 0.05 * figures["naive_mse"] and 0.6 < figures["coverage"] < 0.95
    assert not model.tasks["next"].shortcut.weight.requires_grad
