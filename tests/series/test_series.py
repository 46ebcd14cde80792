"""SeriesPatches and Forecast: every channel on its own scale, there and back."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from unitf_series import Forecast, SeriesPatches

from unitf import Learner, TaskBatch, Tokenizer, TransformerConfig, UserError
from unitf.data import Encoder
from unitf.errors import SampleError
from unitf.tasks import MaskedTokens, Task
from unitf.testing import CHECKS, check_tokenizer
from unitf.tokenizer.token_embedding import Prefix

WALK = np.random.default_rng(3).normal(size=(20, 2)).cumsum(0) * [1, 50] + [3, -400]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 8, "channel_axis": False, "scaling": "size", "prefix": Prefix(2)},
        {"position_embedding": "learned", "steps": 16, "channel_axis": False, "scaling": "none"},
    ],
)
def test_it_keeps_to_the_contract(monkeypatch, options):
    # the check that starts an interpreter has nothing to say of options
    kept = {n: c for n, c in CHECKS.items() if not options or "spawned" not in n}
    monkeypatch.setattr("unitf.testing.CHECKS", kept)
    check_tokenizer(SeriesPatches, SeriesPatches.examples(), patch=16, **options)


@pytest.mark.parametrize("channel_axis", [True, False])
def test_a_token_stands_where_encode_puts_it(channel_axis):
    tokenizer = SeriesPatches(8, 4, steps=20, channels=2, channel_axis=channel_axis)
    positions = tokenizer.encode(WALK).positions
    assert [list(tokenizer.position_of(n)) for n in range(10)] == positions.mT.tolist()


def test_every_channel_has_its_own_level_and_scale():
    tokenizer = SeriesPatches(24, patch=4, stride=2)
    features = tokenizer.encode(WALK)
    assert features.values.shape == (7, 18)
    assert features.positions[0].tolist() == [*range(9)] * 2
    assert features.positions[1].tolist() == [0] * 9 + [1] * 9
    level, scale = tokenizer.levels(features)
    torch.testing.assert_close(level[[0, 9]], torch.tensor(WALK.mean(0)))
    torch.testing.assert_close(scale[[0, 9]], torch.tensor(WALK.std(0)).float())
    second = (WALK[2:6, 1] - WALK[:, 1].mean()) / WALK[:, 1].std()
    torch.testing.assert_close(features.rows[10, :4], torch.tensor(second).float())
    np.testing.assert_allclose(tokenizer.decode(features), WALK, rtol=1e-4, atol=1e-4)
    scaled = tokenizer.encode(WALK * 7 + 5)
    torch.testing.assert_close(scaled.values[:4], features.values[:4], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("offset", [0, 1e5, 1e7, 1.7e9])
def test_a_series_loses_nothing_to_a_large_level(offset):
    wave = np.sin(np.arange(64) / 5)[:, None]
    tokenizer = SeriesPatches(8, patch=16)
    features = tokenizer.encode(wave + offset)
    expected = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-5)
    np.testing.assert_allclose(features.rows[:, :16].flatten(), expected[:, 0], atol=1e-6)
    np.testing.assert_allclose(tokenizer.decode(features), wave + offset, rtol=0, atol=1e-6)


def test_a_series_that_is_read_only_is_read():
    series = WALK.copy()
    series.flags.writeable = False
    tokenizer = SeriesPatches(24, patch=4)
    assert torch.equal(tokenizer.encode(series).values, tokenizer.encode(WALK).values)


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
        (
            lambda: SeriesPatches(24, position_embedding="learned", channels=2).build(),
            "needs steps",
        ),
        (
            lambda: SeriesPatches(24, position_embedding="learned", steps=20).build(),
            "need channels",
        ),
        (lambda: Forecast([], "c", 2, 2), "inputs: found none"),
        (lambda: Forecast(["a"], "c", 0, 2), "horizon: expected 1 or more, found 0"),
        (lambda: Forecast(["a"], "c", 2, quantiles=[0.1, 0.9]), r"rising numbers .* with 0.5"),
        (lambda: Forecast(["a"], "c", 2, quantiles=[0.9, 0.5]), r"found \[0.9, 0.5\]"),
    ):
        with pytest.raises(UserError, match=message):
            make()


def learner(pooling="flat", horizon=3, task: Task | None = None, **options) -> Learner:
    torch.manual_seed(0)
    made = Learner(
        TransformerConfig(dim=24, depth=2, num_heads=2, chunk=5),
        {"series": lambda dim: SeriesPatches(dim, patch=4, **options)},
        {"next": task or Forecast(["series"], "future", horizon, 5, pooling)},
    )
    made.build_components()
    return made.eval()


def parts_of(model) -> dict[str, Tokenizer]:
    return dict(model.tokenizers.items())


def test_a_forecast_is_in_the_unit_of_its_channel_alone():
    model = learner()
    [both] = model.predict([{"series": WALK}])
    forecast = np.array(both["forecast"])
    assert forecast.shape == (3, 2)
    moved = WALK * [1, 3] + [0, 9]
    [made] = model.predict([{"series": moved}])
    np.testing.assert_allclose(made["forecast"], forecast * [1, 3] + [0, 9], rtol=1e-3)


def view_of(model, samples) -> TaskBatch:
    encoder = Encoder(model.tokenizers, model.tasks)
    return encoder([encoder.item(*numbered) for numbered in enumerate(samples)]).task_batches[
        "next"
    ]


def reading_of(model, batch) -> torch.Tensor:
    columns = model.core(model.tokenizers["series"](batch.features["series"]))
    return model.tasks["next"].outputs(columns, batch, parts_of(model))


@pytest.mark.parametrize("pooling", ["flat", "mean", "max"])
def test_loss_and_figures_are_those_of_the_predictions(pooling):
    model = learner(pooling)
    samples = [
        {"series": WALK, "future": WALK[:3] + 1},
        {"series": WALK[:, :1], "future": WALK[4:7, :1]},
    ]
    batch, task = view_of(model, samples), model.tasks["next"]
    output = reading_of(model, batch)
    assert output.shape == (3, 3)
    made = [np.array(p["forecast"]) for p in model.predict(samples)]
    errors = [m - s["future"] for m, s in zip(made, samples, strict=True)]
    scales = np.concatenate([WALK.std(0), WALK[:, :1].std(0)])
    flat = np.concatenate([error.T for error in errors])
    losses = task.losses(output, batch, parts_of(model))
    expected = ((flat / scales[:, None]) ** 2).mean(1)
    np.testing.assert_allclose(losses.detach(), expected, rtol=1e-3)
    metrics = task.metrics()
    task.update_metrics(metrics, output, batch, parts_of(model), [1])
    figures = metrics.compute()
    assert figures["rmse"].item() == pytest.approx(np.sqrt((errors[1] ** 2).mean()), rel=1e-3)
    assert figures["mae"].item() == pytest.approx(np.abs(errors[1]).mean(), rel=1e-3)


@pytest.mark.parametrize("offset", [1e5, 1.7e9])
def test_a_forecast_loses_nothing_to_a_large_level(offset):
    model, task = learner(), learner().tasks["next"]
    samples = [{"series": WALK + add, "future": WALK[:3] + 1 + add} for add in (0, offset)]
    batch = view_of(model, samples)
    near, far = batch.target["future"].split(2)
    torch.testing.assert_close(far, near, atol=1e-5, rtol=1e-5)
    predicted = [np.array(one["forecast"]) for one in model.predict(samples)]
    np.testing.assert_allclose(predicted[1] - offset, predicted[0], rtol=0, atol=1e-3)
    figures = []
    for sequence in (0, 1):
        metrics = task.metrics()
        task.update_metrics(metrics, reading_of(model, batch), batch, parts_of(model), [sequence])
        figures.append(metrics.compute())
    assert figures[1]["mae"].item() == pytest.approx(figures[0]["mae"].item(), rel=1e-4)


def test_steps_that_are_not_known_count_in_no_loss_and_no_figure():
    model, task = learner(), learner().tasks["next"]
    future = WALK[:3] + 1
    future[1:, 0], future[:, 1] = np.nan, np.nan
    batch = view_of(model, [{"series": WALK, "future": future}])
    output = reading_of(model, batch)
    losses = task.losses(output, batch, parts_of(model))
    [made] = model.predict([{"series": WALK}])
    error = made["forecast"][0][0] - future[0, 0]
    assert losses[0].item() == pytest.approx((error / WALK[:, 0].std()) ** 2, rel=1e-3)
    assert losses[1].item() == 0
    [gradient] = torch.autograd.grad(losses.sum(), output)
    assert gradient.isfinite().all()
    metrics = task.metrics()
    task.update_metrics(metrics, output, batch, parts_of(model), [0])
    figures = metrics.compute()
    assert figures["mae"].item() == pytest.approx(abs(error), rel=1e-4)
    assert figures["rmse"].item() == pytest.approx(abs(error), rel=1e-4)
    assert figures["num_samples"] == 2
    nothing = view_of(model, [{"series": WALK, "future": future * np.nan}])
    metrics = task.metrics()
    task.update_metrics(metrics, output, nothing, parts_of(model), [0])
    assert set(metrics.compute()) == {"num_samples"}


@pytest.mark.parametrize(
    ("future", "message"),
    [
        (WALK[:2], "expected 3 steps, found 2"),
        (WALK[:3, :1], "expected 2 channels as in series, found 1"),
        (WALK[:3, [0, 1, 1]], "expected 2 channels as in series, found 3"),
    ],
)
def test_a_future_that_does_not_fit_is_told(future, message):
    with pytest.raises(SampleError, match=f"sample 0: target 'future': {message}"):
        view_of(learner(), [{"series": WALK, "future": future}] * 2)


def test_a_wrong_number_of_patches_is_told():
    series = np.concatenate([WALK, WALK[:20], WALK[:20]])  # 15 patches a channel: 6 times 5
    for sample in ({"series": series}, {"series": series, "future": WALK[:3]}):
        with pytest.raises(SampleError, match="sample 0: series: 15 patches a channel, expected"):
            learner().predict([sample])


def test_columns_beside_the_patches_are_told():
    model = learner(prefix=Prefix(5))
    with pytest.raises(UserError, match=r"sample 0: Forecast reads 10 patches .* found 15 columns"):
        model.predict([{"series": WALK}])


def test_the_training_data_bounds_the_unit_of_the_loss():
    """A window in which a channel stands still does not outweigh all others."""
    model = learner()
    task, still = model.tasks["next"], np.tile(WALK[:1], (len(WALK), 1))
    gap = WALK.copy()
    gap[3:9, 0] = np.nan
    task.fit([{"series": WALK}, {"series": gap}, {"series": WALK[:, :1] * 3}])
    first = np.sqrt((WALK[:, 0].var() * 10 + np.nanvar(gap[:, 0])) / 3)
    np.testing.assert_allclose(task.fitted["deviation"], [first, WALK[:, 1].std()], rtol=1e-6)
    samples = [{"series": still, "future": still[:3] + 5}, {"series": WALK * 9, "future": WALK[:3]}]
    batch = view_of(model, samples)
    output = reading_of(model, batch)
    losses = task.losses(output, batch, parts_of(model)).detach()
    made = [np.array(p["forecast"]) for p in model.predict(samples)]
    errors = [(m - s["future"]).T for m, s in zip(made, samples, strict=True)]
    # the fitted deviations, or those of the window where they are larger
    units = [np.array(task.fitted["deviation"]), (WALK * 9).std(0)]
    expected = [((e / unit[:, None]) ** 2).mean(1) for e, unit in zip(errors, units, strict=True)]
    np.testing.assert_allclose(losses, np.concatenate(expected), rtol=1e-3)
    task.fitted = {}  # as in a checkpoint from before, or in a published model
    unbounded = view_of(model, samples)
    assert task.losses(output, unbounded, parts_of(model))[0] > 1000 * losses[0]


def test_more_channels_than_the_training_data_had_have_the_mean_bound():
    task = learner().tasks["next"]
    task.fitted = {"deviation": [1.0, 3.0]}
    assert task._usual(3).tolist() == [1.0, 3.0, 2.0]
    assert task._usual(1).tolist() == [1.0]


def test_without_scaling_the_loss_is_in_the_unit_of_the_series():
    model = learner(scaling="none")
    model.tasks["next"].fitted = {"deviation": [100.0, 100.0]}
    batch = view_of(model, [{"series": WALK, "future": WALK[:3]}])
    assert batch.target["factor"].unique().tolist() == [1.0]


def test_hidden_patches_are_normalised_without_their_level_and_scale():
    model = learner(task=MaskedTokens(["series"], mask_ratio=0.5, normalise=True))
    batch = view_of(model, [{"series": WALK + 1000}])
    [guess] = reading_of(model, batch).values()
    truth = batch.features["series"].values[:4, guess.indices]
    truth = (truth - truth.mean(0)) / truth.std(0, correction=0)
    expected = (guess.predicted[:4] - truth).square().mean(0)
    torch.testing.assert_close(guess.losses, expected, atol=1e-3, rtol=1e-3)


def test_a_few_steps_of_training_learn_to_go_on():
    model = learner(horizon=4).train()
    time = np.arange(24) / 3
    waves = [np.stack([np.sin(time + p), np.cos(time + p)], 1) for p in np.arange(16)]
    samples = [{"series": w[:20], "future": w[20:]} for w in waves]
    batch, task = view_of(model, samples), model.tasks["next"]
    optimizer, parts = torch.optim.AdamW(model.parameters(), 3e-3), dict(model.tokenizers.items())
    found = []
    for _ in range(60):
        tokens = model.tokenizers["series"](batch.features["series"])
        loss = task.losses(task.outputs(model.core(tokens), batch, parts), batch, parts).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert found[-1] < 0.05 * found[0]


def test_importing_it_imports_no_torch():
    code = "import unitf_series, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
