"""Regression: standardised targets, torch's plain losses, figures in the target's own unit."""

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.metrics import r2_score
from task_toys import SAMPLES, figures, read, ready, tokenizers, view_of

from unitf.errors import UserError
from unitf.tasks import Regression

BOTH = ["text", "image"]


def numbers(values):
    return [{"text": "x", "value": value} for value in values]


def test_targets_are_standardised_by_the_training_samples():
    values = np.random.default_rng(0).normal(2020, 3, size=50)
    task = Regression(BOTH, "value")
    task.fit(numbers(values))
    encoded = torch.stack([task.encode_target(sample) for sample in numbers(values)]).double()
    torch.testing.assert_close(encoded.mean(), torch.tensor(0.0).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(encoded.std(correction=0), torch.tensor(1.0).double())


def test_vectors_are_standardised_number_by_number():
    values = np.random.default_rng(0).normal([5, -100], [0.1, 30], size=(20, 2))
    task = Regression(BOTH, "value")
    task.fit(numbers(values.tolist()))
    assert task.size == 2
    assert task.fitted["mean"] == pytest.approx(values.mean(0).tolist())
    assert task.fitted["deviation"] == pytest.approx(values.std(0).tolist())


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        ("mse", lambda e: e**2),
        ("l1", lambda e: e.abs()),
        ("huber", lambda e: torch.where(e.abs() < 1, e**2 / 2, e.abs() - 0.5)),
    ],
)
def test_the_loss_is_the_mean_over_a_samples_numbers(loss, formula):
    samples = numbers([[0.0, 1.0], [4.0, -3.0], [2.0, 9.0]])
    task = Regression(BOTH, "value", loss=loss)
    task.fit(samples)
    made = tokenizers()
    batch = view_of(task, samples, made)
    output = 3 * torch.randn(3, 2, generator=torch.manual_seed(0))
    expected = formula(output - batch.target).mean(1)
    torch.testing.assert_close(task.losses(output, batch, made), expected)


def test_figures_are_in_the_targets_unit_and_equal_the_textbook():
    generator = np.random.default_rng(0)
    truth = generator.normal(1900, 25, size=30)
    guess = truth + generator.normal(2, 10, size=30)
    task = Regression(BOTH, "value")
    task.fit(numbers(truth))
    made = tokenizers()
    batch = view_of(task, numbers(truth), made)
    output = (guess - task.fitted["mean"][0]) / task.fitted["deviation"][0]
    found = figures(task, batch, torch.tensor(output)[:, None].float(), made)
    assert found["mae"] == pytest.approx(np.abs(guess - truth).mean(), rel=1e-4)
    assert found["rmse"] == pytest.approx(np.sqrt(((guess - truth) ** 2).mean()), rel=1e-4)
    assert found["r2"] == pytest.approx(r2_score(truth, guess), rel=1e-4)
    assert found["pearson"] == pytest.approx(pearsonr(truth, guess)[0], rel=1e-4)


def test_figures_of_vectors_are_means():
    generator = np.random.default_rng(0)
    truth = generator.normal(size=(30, 2))
    guess = truth + generator.normal(scale=0.5, size=(30, 2))
    task = Regression(BOTH, "value")
    task.fit(numbers(truth.tolist()))
    made = tokenizers()
    batch = view_of(task, numbers(truth.tolist()), made)
    unit = np.array(task.fitted["deviation"])
    output = torch.tensor((guess - np.array(task.fitted["mean"])) / unit).float()
    found = figures(task, batch, output, made)
    assert found["r2"] == pytest.approx(r2_score(truth, guess), rel=1e-4)
    each = [pearsonr(truth[:, k], guess[:, k])[0] for k in range(2)]
    assert found["pearson"] == pytest.approx(np.mean(each), rel=1e-4)


def test_predictions_are_in_the_targets_unit():
    samples = numbers([10.0, 20.0, 30.0])
    task, made = ready(Regression(BOTH, "value"), samples), tokenizers()
    batch = view_of(task, samples, made)
    told = task.predict(batch.target, batch, made)  # as if the truth were predicted
    assert [p["value"] for p in told] == pytest.approx([10.0, 20.0, 30.0])


def test_a_vector_is_predicted_as_a_list():
    samples = numbers([[1.0, 5.0], [3.0, 9.0]])
    task, made = ready(Regression(BOTH, "value"), samples), tokenizers()
    batch = view_of(task, samples, made)
    assert task.predict(batch.target, batch, made)[1]["value"] == pytest.approx([3.0, 9.0])


def test_a_constant_target_is_predicted_as_it_is():
    task, made = ready(Regression(BOTH, "value"), numbers([4.0, 4.0])), tokenizers()
    batch = view_of(task, numbers([4.0]), made)
    assert batch.target.tolist() == [[0.0]]
    assert task.predict(torch.zeros(1, 1), batch, made) == [{"value": 4.0}]


def test_few_samples_leave_out_what_is_undefined():
    task, made = ready(Regression(BOTH, "value")), tokenizers()
    batch, output = read(task, SAMPLES, made)
    assert task.metrics().compute() == {}
    assert figures(task, batch, output, made, []) == {}
    one = figures(task, batch, output, made, [1])
    assert set(one) == {"mae", "rmse", "num_samples"}
    assert set(figures(task, batch, output, made)) == {*one, "r2", "pearson"}


@pytest.mark.parametrize("value", ["high", float("nan"), float("inf"), [], [[1.0]], {"a": 1}])
def test_what_is_no_number_is_refused(value):
    task = Regression(BOTH, "value")
    with pytest.raises(UserError, match="target 'value': expected a finite number"):
        task.fit(numbers([value]))


def test_a_number_written_as_text_is_a_number():
    task = Regression(BOTH, "value")
    task.fit(numbers(["1.5", "2.5"]))
    assert task.fitted["mean"] == [2.0]


def test_vectors_of_another_length_are_refused():
    task = Regression(BOTH, "value")
    with pytest.raises(UserError, match="expected 2 numbers as in the first training sample"):
        task.fit(numbers([[1.0, 2.0], [1.0]]))
    with pytest.raises(UserError, match="no training sample has it"):
        Regression(BOTH, "value").fit([])


def test_a_fresh_task_is_restored_from_a_state():
    task, made = ready(Regression(BOTH, "value", pooling="attention")), tokenizers()
    fresh = Regression(BOTH, "value", pooling="attention")
    fresh.load_state_dict(task.state_dict())
    assert fresh.fitted == task.fitted
    assert torch.equal(read(fresh.eval(), SAMPLES, made)[1], read(task, SAMPLES, made)[1])


def test_a_batch_without_samples_has_no_loss():
    task, made = ready(Regression(BOTH, "value")), tokenizers()
    batch, output = read(task, [], made)
    assert task.losses(output, batch, made).shape == (0,)
    assert task.predict(output, batch, made) == []
