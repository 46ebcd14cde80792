"""Rare classes and honest probabilities: weights, focal loss, temperature, what no class is."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from task_toys import tokenizers, view_of
from torch.nn import functional
from toys import make_data, make_learner, make_trainer

from benchmarks import equality
from unitf import UserError
from unitf.batch import Counts
from unitf.data import Encoder, Item
from unitf.tasks import Classification
from unitf.tasks.common.class_loss import class_losses
from unitf.tasks.metrics.confidence import Calibration, OutOfScope, fitted_temperature

LABELS = ["a"] * 6 + ["b"] * 3 + ["c"]
MANY = [{"text": "x" * (n % 3 + 1), "label": label} for n, label in enumerate(LABELS)]


def fitted(**settings):
    task = Classification(["text"], "label", **settings)
    task.fit(iter(MANY))
    return task


def test_balanced_weights_are_those_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    expected = compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=LABELS)
    weights = fitted(class_weights="balanced").fitted["class_weights"]
    assert weights == pytest.approx(expected.tolist())


def test_given_weights_are_checked():
    assert fitted(class_weights={"c": 5.0}).fitted["class_weights"] == [1, 1, 5]
    with pytest.raises(UserError, match="unknown class 'cc'"):
        fitted(class_weights={"cc": 5.0})
    with pytest.raises(UserError, match="expected 0 or more, found -1"):
        fitted(class_weights={"c": -1.0})
    with pytest.raises(UserError, match="focal: expected 0 or more"):
        Classification(["text"], "label", focal=-1.0)


def test_the_weighted_loss_is_that_of_torch():
    task = fitted(class_weights="balanced")
    batch = view_of(task, MANY, tokenizers())
    output = torch.randn(len(MANY), 3, generator=torch.manual_seed(0))
    losses, weights = task.losses(output, batch, {}), task.loss_weights(batch)
    expected = functional.cross_entropy(
        output, batch.target, torch.tensor(task.fitted["class_weights"])
    )
    torch.testing.assert_close((losses * weights).sum() / weights.sum(), expected)
    assert task.counts(batch, {}).weights == pytest.approx(float(weights.sum()))


def test_the_focal_loss_is_that_of_the_paper():
    logits = torch.randn(5, 3, generator=torch.manual_seed(0))
    target = torch.tensor([0, 1, 2, 1, 0])
    p = logits.softmax(1)[range(5), target]
    torch.testing.assert_close(class_losses(logits, target, focal=2.0), -((1 - p) ** 2) * p.log())
    soft = functional.one_hot(target, 3).float()
    torch.testing.assert_close(
        class_losses(logits, soft, focal=2.0), class_losses(logits, target, focal=2.0)
    )


@pytest.mark.parametrize("last", [5, 1])
def test_accumulated_batches_with_weights_train_what_one_batch_trains(last):
    settings = {"class_weights": {"cat": 7.0, "dog": 0.25}, "focal": 1.0}
    case = partial(equality._own, "Classification", **settings)
    whole = equality.train(case(), equality.Cut(16), last)
    parts = equality.train(case(), equality.Cut(4, 4), last)
    names = [name for name in whole if not name.startswith(equality.VALIDATION)]
    assert max(float((whole[n] - parts[n]).abs().max()) for n in names) <= 1e-6
    plain = equality.train(equality._own("Classification"), equality.Cut(16), last)
    assert max(float((whole[n] - plain[n]).abs().max()) for n in names) > 1e-4


def test_a_step_whose_samples_weigh_nothing_is_no_division_by_zero():
    assert Counts(3, 3, 10, weights=0.0).divisor == 3
    assert Counts(0, 0).divisor == 1
    assert Counts(3, 3, 10, weights=0.5).divisor == 0.5


# ---- temperature ---------------------------------------------------------------------------


def overconfident(count=2000, classes=4, factor=3.0):
    """Logits whose probabilities were right before they were multiplied."""
    random = np.random.default_rng(0)
    logits = torch.tensor(random.normal(size=(count, classes)) * 2)
    target = torch.distributions.Categorical(logits=logits)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return (logits * factor).float(), target.sample()


def test_the_temperature_makes_probabilities_right_again():
    logits, target = overconfident()
    assert fitted_temperature(logits, target) == pytest.approx(3.0, rel=0.1)
    assert fitted_temperature(logits[:0], target[:0]) == 1
    # a few samples without a mistake do not make it sure of everything
    assert fitted_temperature(torch.eye(4) * 2, torch.arange(4)) > 0.4
    metric = Calibration(4, None)
    metric.update(logits[:900].softmax(1), target[:900])
    metric.update(logits[900:].softmax(1), target[900:])
    figures = {name: float(value) for name, value in metric.compute().items()}
    assert figures["ece"] < 0.03 < 0.1 < figures["uncalibrated_ece"]
    assert figures["nll"] < figures["uncalibrated_nll"]
    expected = float(functional.cross_entropy(logits, target))
    assert figures["uncalibrated_nll"] == pytest.approx(expected, rel=1e-4)


def test_predictions_use_the_temperature_and_keep_their_classes():
    task = fitted()
    batch = view_of(task, MANY, tokenizers())
    output = torch.randn(len(MANY), 3, generator=torch.manual_seed(0))
    before = task.predict(output, batch, {})
    task.calibrate({"temperature": 2.0})
    after = task.predict(output, batch, {})
    assert [p["label"] for p in after] == [p["label"] for p in before]
    expected = (output / 2).softmax(1).max(1).values.tolist()
    assert [p["probability"] for p in after] == pytest.approx(expected)


def test_a_fit_keeps_the_temperature_in_its_checkpoint(tmp_path):
    learner, data = make_learner(), make_data()
    trainer = make_trainer(tmp_path, max_epochs=1)
    trainer.fit(learner, data)
    kept = learner.tasks["speed"].temperature
    assert kept != 1
    assert learner.results["validation"]["speed"]["all"]["temperature"] == pytest.approx(kept)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    learner.tasks["speed"].calibrate({"temperature": 9.0})
    trainer.test(learner, data, ckpt_path=tmp_path / "model.ckpt", verbose=False, weights_only=True)
    assert learner.tasks["speed"].temperature == kept
    figures = learner.results["test"]["speed"]["all"]
    assert figures["temperature"] == pytest.approx(kept)
    assert {"ece", "uncalibrated_ece", "nll", "uncalibrated_nll"} <= set(figures)


# ---- out of scope ----------------------------------------------------------------------------


def test_a_test_sample_of_no_class_is_out_of_scope_and_in_no_other_figure():
    made, task = tokenizers(), Classification(["text"], "label")
    task.fit(MANY)
    task.eval()
    samples = [*MANY, {"text": "hoo", "label": "owl"}]
    encode = Encoder(made, {"task": task}, skip_targets=True)
    batch = encode([Item(s, str(n), n) for n, s in enumerate(samples)]).task_batches["task"]
    output = torch.randn(len(samples), 3, generator=torch.manual_seed(0))
    assert task.losses(output, batch, made)[-1] == 0
    assert task.loss_weights(batch).tolist() == [1.0] * len(MANY) + [0.0]
    figures = {}
    for chosen in (range(len(MANY)), range(len(samples))):
        metrics = task.metrics()
        task.update_metrics(metrics, output, batch, made, list(chosen))
        figures[len(chosen)] = metrics.compute()
    known, every = figures.values()
    assert "out_of_scope_auroc" not in known
    assert every["num_out_of_scope"] == 1 and every["num_samples"] == len(MANY)
    for name in ("accuracy", "f1", "ece", "nll"):
        assert every[name] == known[name]


def test_out_of_scope_figures_are_those_of_scikit_learn():
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    confidence = random.uniform(0.5, 1, size=400)
    target = np.where(random.uniform(size=400) < confidence - 0.2, 0, -1)
    metric = OutOfScope()
    probabilities = torch.tensor(np.stack([confidence, 1 - confidence], 1))
    metric.update(probabilities, torch.tensor(target))
    figures = metric.compute()
    expected = roc_auc_score(target >= 0, confidence.astype(np.float32))
    assert float(figures["out_of_scope_auroc"]) == pytest.approx(expected)
    known = np.sort(confidence[target >= 0])
    threshold = known[math.floor(0.05 * (len(known) - 1))]
    assert (known >= threshold).mean() >= 0.95
    passed = (confidence[target < 0] >= threshold - 1e-6).mean()
    assert float(figures["out_of_scope_passed"]) == pytest.approx(passed)
