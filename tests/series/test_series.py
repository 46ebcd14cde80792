"""SeriesPatches and Forecast: every channel on its own scale, there and back."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from unitf_series import Forecast, SeriesPatches

from unitf import Features, Learner, TransformerConfig, UserError, View
from unitf.embedding import Prefix
from unitf.testing import CHECKS, check_tokenizer

WALK = np.random.default_rng(3).normal(size=(20, 2)).cumsum(0) * [1, 50] + [3, -400]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 8, "channel_axis": False, "scaling": "size", "prefix": Prefix(2)},
        {"positions": "learned", "steps": 16, "channel_axis": False, "scaling": "none"},
    ],
)
def test_it_keeps_to_the_contract(monkeypatch, options):
    # the check that starts an interpreter has nothing to say of options
    kept = {n: c for n, c in CHECKS.items() if not options or "spawned" not in n}
    monkeypatch.setattr("unitf.testing.CHECKS", kept)
    check_tokenizer(SeriesPatches, SeriesPatches.examples(), patch=16, **options)


def test_every_channel_has_its_own_level_and_scale():
    tokenizer = SeriesPatches(24, patch=4, stride=2)
    features = tokenizer.encode(WALK)
    assert features.values.shape == (6, 18)
    assert features.positions[0].tolist() == [*range(9)] * 2
    assert features.positions[1].tolist() == [0] * 9 + [1] * 9
    level, scale = tokenizer.levels(features)
    torch.testing.assert_close(level[[0, 9]], torch.tensor(WALK.mean(0)).float())
    torch.testing.assert_close(scale[[0, 9]], torch.tensor(WALK.std(0)).float())
    second = (WALK[2:6, 1] - WALK[:, 1].mean()) / WALK[:, 1].std()
    torch.testing.assert_close(features.rows[10, :4], torch.tensor(second).float())
    np.testing.assert_allclose(tokenizer.decode(features), WALK, rtol=1e-4, atol=1e-4)
    scaled = tokenizer.encode(WALK * 7 + 5)
    torch.testing.assert_close(scaled.values[:4], features.values[:4], rtol=1e-3, atol=1e-4)


def test_the_latest_steps_are_read():
    tokenizer = SeriesPatches(24, patch=4, stride=3, steps=12)
    np.testing.assert_allclose(
        tokenizer.decode(tokenizer.encode(WALK)), WALK[-10:], rtol=1e-4, atol=1e-4
    )
    with pytest.raises(UserError, match="a series of 11 steps, expected 12"):
        tokenizer.encode(WALK[:11])


def test_what_is_missing_counts_as_the_level():
    holes = WALK.copy()
    holes[[2, 7], 0] = np.nan
    tokenizer = SeriesPatches(24, patch=4)
    features = tokenizer.encode(holes)
    level, _ = tokenizer.levels(features)
    assert level[0].item() == pytest.approx(np.nanmean(holes[:, 0]), rel=1e-5)
    assert features.values[2, 0] == 0 and features.values[3, 1] == 0
    assert features.values.isfinite().all()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no numbers", "expected a series of numbers"),
        (np.zeros((2, 3, 4)), "a series of shape"),
        (np.zeros((0, 3)), "a series of shape"),
        (np.zeros((9, 3)), "3 channels, expected 2"),
        (np.full((9, 2), np.inf), "infinite"),
        (np.zeros((3, 2)), "a series of 3 steps, a patch has 4"),
    ],
)
def test_what_is_no_series_is_told(value, message):
    with pytest.raises(UserError, match=message):
        SeriesPatches(24, patch=4, channels=2).encode(value)


def test_settings_that_do_not_fit_are_refused():
    for make, message in (
        (lambda: SeriesPatches(24, patch=0), "patch: expected"),
        (lambda: SeriesPatches(24, patch=4, steps=3), "steps: expected at least the 4"),
        (lambda: SeriesPatches(24, positions="learned", channels=2).build(), "needs steps"),
        (lambda: SeriesPatches(24, positions="learned", steps=20).build(), "need channels"),
        (lambda: Forecast(["a", "b"], "c", 2, 2), "expected one input, found 2"),
        (lambda: Forecast(["a"], "c", 0, 2), "whole numbers from 1 on"),
    ):
        with pytest.raises(UserError, match=message):
            make()


def learner(pooling="flat", horizon=3) -> Learner:
    torch.manual_seed(0)
    made = Learner(
        TransformerConfig(dim=24, depth=2, num_heads=2, chunk=5),
        {"series": lambda dim: SeriesPatches(dim, patch=4)},
        {"next": Forecast(["series"], "future", horizon, 5, pooling)},
    )
    made.build_components()
    return made.eval()


def test_a_forecast_is_in_the_unit_of_its_channel_alone():
    model = learner()
    [both] = model.predict([{"series": WALK}])
    forecast = np.array(both["forecast"])
    assert forecast.shape == (3, 2)
    moved = WALK * [1, 3] + [0, 9]
    [made] = model.predict([{"series": moved}])
    np.testing.assert_allclose(made["forecast"], forecast * [1, 3] + [0, 9], rtol=1e-3)


def view_of(model, samples) -> View:
    tokenizer, task = model.tokenizers["series"], model.tasks["next"]
    features = Features.pack([tokenizer.encode(sample["series"]) for sample in samples])
    target = task.collate([task.encode_target(sample) for sample in samples])
    return View({"series": features}, target, ("series",) * len(samples), ("a", "b"))


@pytest.mark.parametrize("pooling", ["flat", "mean", "max"])
def test_loss_and_figures_are_those_of_the_predictions(pooling):
    model = learner(pooling)
    samples = [
        {"series": WALK, "future": WALK[:3] + 1},
        {"series": WALK[:, :1], "future": WALK[4:7, :1]},
    ]
    view, task = view_of(model, samples), model.tasks["next"]
    tokens = model.tokenizers["series"](view.features["series"])
    reading = task.read(model.core(tokens), view, dict(model.tokenizers.items()))
    assert reading.shape == (3, 3)
    made = [np.array(p["forecast"]) for p in model.predict(samples)]
    errors = [m - s["future"] for m, s in zip(made, samples, strict=True)]
    scales = np.concatenate([WALK.std(0), WALK[:, :1].std(0)])
    flat = np.concatenate([error.T for error in errors])
    losses = task.losses(reading, view, dict(model.tokenizers.items()))
    expected = ((flat / scales[:, None]) ** 2).mean(1)
    np.testing.assert_allclose(losses.detach(), expected, rtol=1e-3)
    metrics = task.metrics()
    task.score(metrics, reading, view, dict(model.tokenizers.items()), [1])
    figures = metrics.compute()
    assert figures["rmse"].item() == pytest.approx(np.sqrt((errors[1] ** 2).mean()), rel=1e-3)
    assert figures["mae"].item() == pytest.approx(np.abs(errors[1]).mean(), rel=1e-3)


def test_a_future_that_does_not_fit_is_told():
    task = Forecast(["series"], "future", 3, 5)
    with pytest.raises(UserError, match="expected 3 steps, found 2"):
        task.encode_target({"future": WALK[:2]})


def test_a_few_steps_of_training_learn_to_go_on():
    model = learner(horizon=4).train()
    time = np.arange(24) / 3
    waves = [np.stack([np.sin(time + p), np.cos(time + p)], 1) for p in np.arange(16)]
    samples = [{"series": w[:20], "future": w[20:]} for w in waves]
    view, task = view_of(model, samples), model.tasks["next"]
    optimizer, parts = torch.optim.AdamW(model.parameters(), 3e-3), dict(model.tokenizers.items())
    found = []
    for _ in range(60):
        tokens = model.tokenizers["series"](view.features["series"])
        loss = task.losses(task.read(model.core(tokens), view, parts), view, parts).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert found[-1] < 0.05 * found[0]


def test_importing_it_imports_no_torch():
    code = "import unitf_series, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
