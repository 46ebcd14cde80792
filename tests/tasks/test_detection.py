"""Detection: DETR's loss, boxes that come back, and figures that COCO's own code gives."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from task_toys import DIM
from torchvision.ops import generalized_box_iou
from transformers.loss.loss_for_object_detection import ForObjectDetectionLoss

from unitf import TaskBatch, Tokens, UserError
from unitf.tasks.common.boxes import generalised_overlap, match, to_centres, to_corners
from unitf.tasks.detection import Detection

SAMPLES = [
    {"objects": {"labels": ["cat", "dog"], "boxes": [[0.1, 0.2, 0.5, 0.6], [0.4, 0.0, 1.0, 0.3]]}},
    {"objects": {"labels": [], "boxes": []}},
    {"objects": {"labels": ["dog"], "boxes": [[0.0, 0.0, 1.0, 1.0]]}},
]


def ready(**options) -> Detection:
    torch.manual_seed(0)
    task = Detection(["image"], "objects", num_objects=4, **options)
    task.fit({"image": 1, **sample} for sample in SAMPLES)
    task.build(dim=DIM)
    return task


def view_of(task, samples=SAMPLES) -> TaskBatch:
    target = task.collate([task.encode_target(sample) for sample in samples])
    names = tuple(map(str, range(len(samples))))
    return TaskBatch({}, target, ("image",) * len(samples), names)


def corners(count, seed=0):
    sides = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed)).sort(1).values
    return sides.flatten(1)


def test_overlaps_are_those_of_torchvision():
    one, other = corners(7), corners(5, seed=1)
    expected = generalized_box_iou(one, other)
    found = generalised_overlap(*torch.broadcast_tensors(one[:, None], other[None]))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(to_corners(to_centres(one)), one)
    nothing = torch.zeros(1, 4)
    assert generalised_overlap(nothing, nothing).isfinite().all()


def test_pairs_are_the_cheapest():
    costs = torch.tensor([[1.0, 9.0], [2.0, 3.0], [0.5, float("nan")]])
    rows, columns = match(costs)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(1, 1), (2, 0)]


@pytest.mark.parametrize("samples", [SAMPLES, SAMPLES[1:2]])
def test_the_loss_is_that_of_detr(samples):
    task, batch = ready(), view_of(ready(), samples)
    torch.manual_seed(1)
    logits = torch.randn(len(samples), 4, 3, requires_grad=True)
    boxes = torch.rand(len(samples), 4, 4, requires_grad=True)
    output = torch.cat([logits, boxes], dim=2)
    losses = task.losses(output, batch, {})
    assert losses.shape == (len(samples),)
    config = SimpleNamespace(
        class_cost=1, bbox_cost=5, giou_cost=2, num_labels=2, eos_coefficient=0.1,
        bbox_loss_coefficient=5, giou_loss_coefficient=2, auxiliary_loss=False,
    )  # fmt: skip
    targets = [
        {"class_labels": one["labels"], "boxes": one["boxes"]} for one in task._targets(batch)
    ]
    expected, _, _ = ForObjectDetectionLoss(logits, targets, "cpu", boxes, config)
    torch.testing.assert_close(losses.mean(), expected)
    ours = torch.autograd.grad(losses.mean(), [logits, boxes], retain_graph=True)
    theirs = torch.autograd.grad(expected, [logits, boxes], allow_unused=True)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, torch.zeros_like(one) if other is None else other)


def test_learned_columns_stand_before_every_sequence_and_are_read():
    task = ready()
    parts = Tokens.from_rows(torch.randn(5, DIM), [3, 0, 2])
    arranged = task.join_inputs([parts])
    assert arranged.lengths == (7, 4, 6)
    assert torch.equal(arranged.split()[1].rows, task.tokens)
    output = task.outputs(arranged, view_of(task), {})
    assert output.shape == (3, 4, 3 + 4)
    torch.testing.assert_close(output[0, :, :3], task.class_head(task.tokens))
    assert ((output[..., 3:] > 0) & (output[..., 3:] < 1)).all()


def test_columns_of_a_prefix_are_read_where_they_stand():
    task = ready(columns=[1, 5])
    columns = Tokens.from_rows(torch.randn(13, DIM), [7, 6])
    output = task.outputs(task.join_inputs([columns]), view_of(task), {})
    torch.testing.assert_close(output[1, :, :3], task.class_head(columns.rows[8:12]))
    with pytest.raises(UserError, match="a sequence of 3 columns"):
        task.outputs(Tokens.from_rows(torch.randn(3, DIM)), view_of(task), {})
    with pytest.raises(UserError, match=r"columns \[1, 3\] are not the 4"):
        ready(columns=[1, 3])


def perfect(task, samples=SAMPLES):
    """A reading that finds every object, and nothing else."""
    output = torch.zeros(len(samples), 4, 7)
    output[..., 2] = 9.0
    for row, sample in zip(output, samples, strict=True):
        target = task.encode_target(sample)
        for number, (label, box) in enumerate(zip(target["labels"], target["boxes"], strict=True)):
            row[number, 2], row[number, label] = 0.0, 8.0 + number
            row[number, 3:] = box
    return output


def test_predictions_are_the_objects():
    task, batch = ready(), view_of(ready())
    found = task.predict(perfect(task), batch, {})
    assert [[one["label"] for one in p["objects"]] for p in found] == [["dog", "cat"], [], ["dog"]]
    box = found[0]["objects"][1]["box"]
    np.testing.assert_allclose(box, SAMPLES[0]["objects"]["boxes"][0], atol=1e-6)
    assert found[0]["objects"][0]["probability"] > 0.99


def test_average_precision_is_one_for_all_and_less_for_some():
    task, batch = ready(), view_of(ready())
    metrics = task.metrics()
    task.update_metrics(metrics, perfect(task), batch, {}, [0, 1, 2])
    figures = metrics.compute()
    assert {n: round(float(v), 4) for n, v in figures.items()} == {
        "map": 1.0, "map_50": 1.0, "map_75": 1.0, "num_samples": 3,
    }  # fmt: skip
    output = perfect(task)
    output[2, 0, 3:] = torch.tensor([0.5, 0.5, 0.8, 0.8])  # an overlap of 0.64
    metrics = task.metrics()
    task.update_metrics(metrics, output, batch, {}, [2])
    figures = metrics.compute()
    assert float(figures["map_50"]) == pytest.approx(1.0)
    assert float(figures["map_75"]) == pytest.approx(0.0)
    assert float(figures["map"]) == pytest.approx(0.3)  # of 0.5, 0.55, … 0.95 three
    metrics = task.metrics()
    task.update_metrics(metrics, perfect(task), batch, {}, [1])  # no object: nothing to say
    assert set(metrics.compute()) == {"num_samples"}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (["cat"], "expected a dictionary of labels and boxes"),
        ({"labels": ["cat"], "boxes": [[0, 0, 1]]}, "need boxes of 1×4, found 1×3"),
        ({"labels": ["cat"], "boxes": [[0, 0, 10, 20]]}, "fractions of the image"),
        ({"labels": ["cat"], "boxes": [[0.5, 0, 0.2, 1]]}, "fractions of the image"),
        ({"labels": None, "boxes": []}, "expected labels in a list, found None"),
        ({"labels": ["cow"], "boxes": [[0, 0, 1, 1]]}, "unknown class 'cow'"),
        ({"labels": ["cat"] * 5, "boxes": [[0, 0, 1, 1]] * 5}, "5 objects, expected at most 4"),
    ],
)
def test_targets_that_do_not_fit_are_told(target, message):
    with pytest.raises(UserError, match=message):
        ready().encode_target({"objects": target})


def test_a_batch_without_samples_touches_every_parameter():
    task = ready()
    nothing = Tokens.from_rows(torch.zeros(0, DIM), [])
    batch = TaskBatch({}, task.collate([]), (), ())
    task.losses(task.outputs(task.join_inputs([nothing]), batch, {}), batch, {}).sum().backward()
    assert all(parameter.grad is not None for parameter in task.parameters())


def test_training_finds_the_objects():
    task = ready()
    batch, made = view_of(task), torch.nn.Parameter(torch.randn(12, DIM))
    optimizer = torch.optim.Adam([made, *task.parameters()], 0.01)
    for _ in range(150):
        output = task.outputs(Tokens.from_rows(made, [4, 4, 4]), batch, {})
        optimizer.zero_grad()
        task.losses(output, batch, {}).mean().backward()
        optimizer.step()
    found = task.predict(output, batch, {})
    assert [sorted(one["label"] for one in p["objects"]) for p in found] == [
        ["cat", "dog"], [], ["dog"],
    ]  # fmt: skip
