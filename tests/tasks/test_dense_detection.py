"""DenseDetection: which points learn an object, the loss, and objects that come back."""

from dataclasses import replace

import pytest
import torch
from task_toys import DIM
from unitf_image import ImagePatches

from unitf import EncodedSample, Features, TaskBatch, Tokens, UserError
from unitf.analysis.report.shown_values import text_of
from unitf.tasks import DenseDetection
from unitf.tasks.common.assignment import assign
from unitf.tasks.common.boxes import distinct, overlaps

SAMPLES = [
    {"objects": {"labels": ["cat", "dog"], "boxes": [[0.1, 0.2, 0.5, 0.6], [0.4, 0.0, 1.0, 0.3]]}},
    {"objects": {"labels": [], "boxes": []}},
    {"objects": {"labels": ["dog"], "boxes": [[0.0, 0.5, 1.0, 1.0]]}},
]
GRIDS = [(4, 4), (2, 3), (4, 4)]


def ready(**options) -> DenseDetection:
    torch.manual_seed(0)
    task = DenseDetection(["image"], "objects", width=8, **options)
    task.fit({"image": 1, **sample} for sample in SAMPLES)
    task.build(dim=DIM)
    return task


def grid_features(grids) -> Features:
    places = [torch.cartesian_prod(torch.arange(r), torch.arange(c)) for r, c in grids]
    positions = torch.cat(places).float().mT
    lengths = tuple(rows * columns for rows, columns in grids)
    return Features(torch.zeros(1, sum(lengths)), positions, lengths)


def view_of(task, samples=SAMPLES, grids=GRIDS) -> TaskBatch:
    target = task.collate([task.encode_target(sample) for sample in samples])
    names = tuple(map(str, range(len(samples))))
    features = {"image": grid_features(grids)}
    return TaskBatch(features, target, ("image",) * len(samples), names, tuple(grids))


def columns_of(grids, seed=0) -> Tokens:
    features = grid_features(grids)
    rows = torch.randn(features.num_tokens, DIM, generator=torch.Generator().manual_seed(seed))
    return Tokens.from_rows(rows, list(features.lengths), features.positions)


READERS = {"image": ImagePatches(DIM)}


def test_the_best_points_within_an_object_learn_it():
    centres = torch.cartesian_prod(torch.arange(4), torch.arange(4)).flip(1) + 0.5
    objects = torch.tensor([[0.0, 0.0, 2.0, 2.0], [3.2, 3.2, 3.4, 3.4]])
    boxes = torch.cat([centres - 1, centres + 1], dim=1)
    boxes[0] = objects[0]
    probabilities = torch.full((16, 2), 0.5)
    assigned = assign(probabilities, boxes, centres, torch.tensor([1, 0]), objects)
    learns = {(int(p), int(o)) for p, o in zip(assigned.points, assigned.objects, strict=True)}
    # the small object has no point within: the nearest one learns it
    assert learns == {(0, 0), (1, 0), (4, 0), (5, 0), (15, 1)}
    assert float(assigned.quality[assigned.points == 0]) == pytest.approx(1.0)
    assert (assigned.quality[assigned.objects == 0][1:] < 0.2).all()


def test_grids_of_several_sizes_are_read_as_each_alone():
    task, columns = ready(), columns_of(GRIDS)
    together = task.outputs(columns, view_of(task), READERS)
    parts = together.split([4 * rows * width for rows, width in GRIDS])
    for number, part in enumerate(parts):
        batch = view_of(task, SAMPLES[:1], GRIDS[number : number + 1])
        torch.testing.assert_close(task.outputs(columns.split()[number], batch, READERS), part)


def test_a_point_is_where_its_column_is():
    task = ready()
    [points] = task._points(torch.zeros(4 * 6, 6), view_of(task, SAMPLES[:1], [(2, 3)]))
    assert points.centres[0].tolist() == [0.5, 0.5]
    assert points.centres[1].tolist() == [1.5, 0.5]
    assert points.centres[6].tolist() == [0.5, 1.5]
    assert points.size.tolist() == [6, 4]
    assert points.boxes[0].tolist() == [-0.5, -0.5, 1.5, 1.5]
    task.head.class_layers = torch.nn.Sequential()  # so that neighbours do not mix
    rows = torch.randn(6, DIM, requires_grad=True)
    found = task.head(rows, [(2, 3)])
    (of_point,) = torch.autograd.grad(found[15, 0], rows)  # row 2, column 3 of 4×6 points
    assert of_point.abs().sum(1).nonzero().flatten().tolist() == [4]


def test_training_finds_the_objects():
    task = ready()
    batch, columns = view_of(task), columns_of(GRIDS)
    made = torch.nn.Parameter(columns.rows.clone())
    optimizer = torch.optim.Adam([made, *task.parameters()], 0.01)
    for _ in range(150):
        output = task.outputs(columns.with_rows(made), batch, READERS)
        optimizer.zero_grad()
        task.losses(output, batch, READERS).mean().backward()
        optimizer.step()
    found = task.predict(output, batch, {})
    assert [sorted(one["label"] for one in p["objects"]) for p in found] == [
        ["cat", "dog"], [], ["dog"],
    ]  # fmt: skip
    box = torch.tensor(found[2]["objects"][0]["box"])
    torch.testing.assert_close(box, torch.tensor([0.0, 0.5, 1.0, 1.0]), atol=0.1, rtol=0)
    assert text_of(SAMPLES[0]["objects"]) == "1 cat, 1 dog"
    assert text_of(found[2]["objects"]) == "1 dog"
    assert task._missed(found[0]["objects"], SAMPLES[0]) == []
    assert [one["label"] for one in task._missed(found[2]["objects"], SAMPLES[0])] == ["cat", "dog"]
    metrics = task.metrics()
    task.update_metrics(metrics, output, batch, {}, [0, 1, 2])
    assert float(metrics.compute()["map_50"]) == pytest.approx(1.0)


def test_a_crowd_is_neither_found_nor_missed():
    crowd = {"labels": ["dog"], "boxes": [[0.0, 0.0, 0.5, 1.0]], "crowd": [True]}
    task = ready()
    batch = view_of(task, [{"objects": crowd}], [(4, 4)])
    assert batch.target["crowd"].tolist() == [True]
    assert task.counts(batch, READERS).objects == 0
    output = torch.zeros(64, 6, requires_grad=True)
    task.losses(output, batch, READERS).sum().backward()
    assert output.grad is not None
    of_classes = output.grad[:, :2].abs().sum(1).unflatten(0, (8, 8))
    assert (of_classes[:, :4] == 0).all()
    assert (of_classes[:, 4:] > 0).all()
    with pytest.raises(UserError, match="1 labels need 1 values of crowd, found 2"):
        task.encode_target({"objects": crowd | {"crowd": [True, False]}})


def test_a_batch_without_samples_and_a_missing_image_touch_every_parameter():
    task = ready()
    for samples, grids in (([], []), (SAMPLES[:1], [(0, 0)])):
        task.zero_grad()
        batch = view_of(task, samples, grids) if samples else TaskBatch(
            {"image": Features(torch.zeros(1, 0), torch.zeros(2, 0), ())}, None, (), ()
        )  # fmt: skip
        nothing = Tokens.from_rows(torch.zeros(0, DIM), [0] * len(grids))
        output = task.outputs(nothing, batch, READERS)
        task.losses(output, batch, READERS).sum().backward()
        assert all(parameter.grad is not None for parameter in task.parameters())
        assert task.predict(output, batch, {}) == [{"objects": []}] * len(grids)


def test_tokens_that_are_no_grid_are_refused():
    task = ready()
    whole = grid_features([(2, 3)])
    encoding = EncodedSample({}, {"image": whole}, {}, False)
    assert task.sample_info(encoding) == (2, 3)
    cut = Features(whole.values[:, :5], whole.positions[:, :5])
    with pytest.raises(UserError, match=r"a whole grid of tokens, found 5 tokens with 2×3"):
        task.sample_info(replace(encoding, features={"image": cut}))


def test_overlap_and_suppression_are_those_of_torchvision():
    from torchvision.ops import batched_nms, box_iou

    random = torch.Generator().manual_seed(0)
    corners = torch.rand(300, 2, 2, generator=random).sort(1).values.flatten(1)
    scores, kinds = (
        torch.rand(300, generator=random),
        torch.randint(3, (300,), generator=random),
    )
    assert torch.allclose(overlaps(corners, corners[:9]), box_iou(corners, corners[:9]), atol=1e-6)
    for most in (0.3, 0.6):
        found = distinct(corners, scores, kinds, most)
        assert torch.equal(found, batched_nms(corners, scores, kinds, most))
    assert not len(distinct(corners[:0], scores[:0], kinds[:0], 0.5))
