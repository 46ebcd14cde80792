"""Figures over several processes: one without samples must not disturb the others."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from task_toys import SAMPLES, read, ready, tokenizers

from unitf.tasks import Classification, MultiLabelClassification, NextToken, Regression
from unitf.tasks.metrics.average_precision import AveragePrecision
from unitf.tasks.metrics.task_metrics import TaskMetrics
from unitf.tasks.metrics.text_metrics import text_metrics
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
    batch, output = read(task, TEXTS, made)
    metrics = task.metrics()
    fresh = states(metrics)
    task.update_metrics(metrics, output, batch, made, range(len(TEXTS)))
    first = metrics.compute()
    assert states(metrics) == fresh
    metrics.reset()
    assert states(metrics) == fresh
    assert metrics.compute() == {}
    task.update_metrics(metrics, output, batch, made, range(len(TEXTS)))
    torch.testing.assert_close(metrics.compute(), first)


SCRIPT = """
import sys
sys.path.insert(0, {here!r})
import torch
from torch import distributed
from test_processes import some_figures

if __name__ == "__main__":
    rank, name, counts = int(sys.argv[1]), sys.argv[2], [int(count) for count in sys.argv[3:]]
    distributed.init_process_group(
        "gloo", init_method="file://{folder}/meeting", rank=rank, world_size=2
    )
    first = sum(counts[:rank])
    torch.save(some_figures(name, range(first, first + counts[rank])), "{folder}/%d.pt" % rank)
    distributed.destroy_process_group()
"""


def some_figures(name, numbers):
    """Figures of samples of these numbers, of which every second is right."""
    figures = TaskMetrics({name: AveragePrecision()} if name == "map" else text_metrics([name]))
    for number in numbers:
        label = torch.tensor([number % 3])
        box = torch.tensor([[0.0, 0.0, 0.5, 0.5]])
        if name == "map":
            found = {"boxes": box + 0.4 * (number % 2), "scores": torch.ones(1), "labels": label}
            figures[name].update([found], [{"boxes": box, "labels": label}])
        else:
            figures[name].update(["ab" if number % 2 else "cd"], ["ab"])
        figures["num_samples"].update(torch.zeros(1), torch.zeros(1))
    return {key: float(value) for key, value in figures.compute().items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "counts"), [("map", (3, 2)), ("map", (3, 0)), ("exact_match", (3, 0))]
)
def test_two_processes_measure_what_one_does(tmp_path, name, counts):
    script = tmp_path / "two.py"
    script.write_text(SCRIPT.format(here=str(Path(__file__).parent), folder=tmp_path))
    both = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), name, *map(str, counts)],
            stderr=subprocess.PIPE,
        )
        for rank in (0, 1)
    ]
    for process in both:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said.decode()
    expected = some_figures(name, range(sum(counts)))
    assert len(expected) > 1
    for rank in (0, 1):
        assert torch.load(tmp_path / f"{rank}.pt") == pytest.approx(expected)
