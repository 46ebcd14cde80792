"""MetricBoard: the figures of a split by one name each."""

from types import SimpleNamespace

import pytest
import torch
from torchmetrics import MeanMetric, MetricCollection
from toys import make_learner

from unitf.batch import TaskBatch
from unitf.errors import UserError
from unitf.tasks import NextToken
from unitf.training.metric_board import MetricBoard, flat_metrics

ALONE = SimpleNamespace(root_device="cpu", reduce=lambda seen, reduce_op: seen)


def losses_of(task, batches):
    """The loss by modality, of batches of (modalities, losses)."""
    task.metrics = lambda: MetricCollection({"mean": MeanMetric()})
    task.update_metrics = lambda *_: None
    board = MetricBoard({"task": task})
    for modalities, losses in batches:
        batch = TaskBatch({}, None, modalities, names=())
        board.update("task", task, None, batch, {}, torch.tensor(losses))
    figures = board.compute(ALONE)["task"]
    return {modality: figure["loss"] for modality, figure in figures.items() if "loss" in figure}


def test_losses_are_told_by_modality_where_they_are_the_samples():
    task = make_learner().tasks["speed"]
    batches = [(("waves", "beats", "waves"), [1.0, 2.0, 4.0]), (("beats",), [4.0])]
    assert losses_of(task, batches) == {"all": 2.75, "waves": 2.5, "beats": 3.0}


def test_losses_of_tokens_are_those_of_no_modality_however_many_there_are():
    batches = [(("text", "code"), [1.0, 3.0]), (("code",), [5.0])]
    assert losses_of(NextToken(["text", "code"]), batches) == {"all": 3.0}
    batches = [(("text", "text"), [1.0, 2.0, 3.0]), (("text",), [6.0])]
    assert losses_of(NextToken(["text"]), batches) == {"all": 3.0, "text": 3.0}


def test_a_loss_that_is_no_number_is_told():
    found = losses_of(NextToken(["text"]), [(("text",), [1.0]), (("text",), [float("nan")])])
    assert torch.tensor([found["all"], found["text"]]).isnan().all()


def test_a_task_that_had_nothing_to_predict_adds_no_loss():
    figures = {"span": {"all": {"f1": 50.0}}, "label": {"all": {"loss": 2.0}}}
    flat = flat_metrics("validation", figures, {"span": 1.0, "label": 0.5})
    assert flat == {
        "validation/loss": 1.0,
        "validation/span/f1": 50.0,
        "validation/label/loss": 2.0,
    }
    assert flat_metrics("test", {"span": figures["span"]}, {"span": 1.0})["test/loss"] == 0.0


def test_samples_are_counted_whatever_metrics_a_task_has():
    task = make_learner().tasks["speed"]
    task.metrics = lambda: MetricCollection({"mean": MeanMetric()})
    task.update_metrics = lambda *_: None
    board = MetricBoard({"task": task})
    for modalities in (("waves", "beats", "waves"), ("beats",)):
        batch = TaskBatch({}, None, modalities, names=())
        board.update("task", task, None, batch, {}, torch.ones(len(modalities)))
    counts = {m: figures["num_samples"] for m, figures in board.compute(ALONE)["task"].items()}
    assert counts == {"all": 4, "waves": 2, "beats": 2}
    assert board.compute(ALONE) == {}


def test_metrics_that_are_no_collection_are_refused_in_one_line():
    task = make_learner().tasks["speed"]
    task.metrics = lambda: {"mean": MeanMetric()}
    with pytest.raises(UserError, match=r"Classification.metrics: found dict, expected a torchm"):
        MetricBoard({"task": task})
