"""Figures over several processes: one without samples must not disturb the others."""

import pytest
import torch
from task_toys import SAMPLES, read, ready, tokenizers

from unitf.tasks import Classification, MultiLabelClassification, NextToken, Regression
from unitf.tasks.transcription import Transcription

TEXTS = [
    {**sample, "vector": [float(n), 2.0 - n * n]}
    for n, sample in enumerate(SAMPLES)
    if sample.get("text") is not None
]
TASKS = {
    "classification": lambda: Classification(["text"], "label"),
    "multi-label": lambda: MultiLabelClassification(["text"], "label"),
    "number": lambda: Regression(["text"], "value"),
    "vector": lambda: Regression(["text"], "vector"),
    "next token": lambda: NextToken(["text"]),
    "transcription": lambda: Transcription(["text"], "label"),
}


def states(metrics):
    """The shape (but for the number of samples) and type of everything that is gathered."""
    told = {}
    for name, metric in metrics.items():
        for state in metric._defaults:
            value = getattr(metric, state)
            if isinstance(value, list):
                assert value, f"{name}.{state}: gathered as float32, whatever the others have"
                told[name, state] = [(part.shape[1:], part.dtype) for part in value[:1]]
            else:
                told[name, state] = (value.shape, value.dtype)
    return told


@pytest.mark.parametrize("name", TASKS)
def test_what_is_gathered_has_the_same_shape_and_type_with_and_without_samples(name):
    task, made = ready(TASKS[name](), TEXTS), tokenizers()
    view, reading = read(task, TEXTS, made)
    metrics = task.metrics()
    fresh = states(metrics)
    task.score(metrics, reading, view, made, range(len(TEXTS)))
    first = metrics.compute()
    assert states(metrics) == fresh
    metrics.reset()
    assert states(metrics) == fresh
    assert metrics.compute() == {}
    task.score(metrics, reading, view, made, range(len(TEXTS)))
    torch.testing.assert_close(metrics.compute(), first)
