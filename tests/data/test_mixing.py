"""Mixing: blends say what they are of, and are a pure function of the batch."""

import numpy as np
import pytest
import torch
from parts import Listed, Numbers, data

from unitf import Features, UserError
from unitf.data import Mixing
from unitf.data.encoder import Encoder, Item
from unitf.data.mixing import BatchMixing, box
from unitf.tasks import TokenClassification
from unitf.tasks.detection import Detection


class Grid(Numbers):
    """A 6×6 grid of tokens, all with the sample's own number."""

    num_axes = 2
    num_features = 3

    def encode(self, value, train=False):
        places = torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0)).mT.contiguous()
        return Features(torch.full((3, 36), float(value)), places)


def views(mixing, count=16, batch_size=8, epoch=0, **more):
    made = [{"grid": i % 2, "label": i % 2} for i in range(count)]
    module = data(
        {"made": Listed(train=[*made, *more.get("others", [])])},
        {"grid": Grid(8), "numbers": Numbers(8)},
        batch_size=batch_size,
        mix=mixing,
    )
    loader = module.train_dataloader()
    loader.position = lambda: (epoch, 0)
    return [batch.task_batches["class"] for batch in loader]


@pytest.mark.parametrize("mixing", [Mixing(mixup=1.0), Mixing(cutmix=1.0), Mixing(1.0, 1.0)])
def test_the_target_is_the_share_of_each_class_in_the_sample(mixing):
    shares = set()
    for epoch in range(4):
        for view in views(mixing, epoch=epoch):
            assert view.target.shape == (8, 2)
            for features, target in zip(view.features["grid"].split(), view.target, strict=True):
                share = float(features.values.mean())  # of class 1: its tokens are 1, others 0
                assert target.sum() == pytest.approx(1)
                assert float(target[1]) == pytest.approx(share, abs=1e-5)
                shares.add(round(share, 4))
    assert len(shares) > 6


def test_cutmix_swaps_a_box_of_whole_tokens():
    for view in views(Mixing(cutmix=1.0)):
        for features in view.features["grid"].split():
            grid = features.values[0].reshape(6, 6)
            assert set(grid.unique().tolist()) <= {0.0, 1.0}
            odd = grid != grid.mode().values.mode().values
            rows, columns = odd.any(1).nonzero().flatten(), odd.any(0).nonzero().flatten()
            assert odd.sum() == len(rows) * len(columns)


def test_a_box_covers_its_share_of_any_number_of_axes():
    generator = np.random.default_rng(0)
    for axes in (1, 2, 3):
        places = torch.cartesian_prod(*[torch.arange(9.0)] * axes).reshape(-1, axes).mT
        covered = [box(places, 0.25, generator).float().mean() for _ in range(400)]
        assert 0.08 < np.mean(covered) < 0.25  # some of a box may lie outside
        assert box(places, 0.0, generator).sum() == 0


def test_it_is_a_pure_function_of_the_batch():
    first, again, later = (views(Mixing(1.0, 1.0), epoch=epoch) for epoch in (0, 0, 1))
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a.target, b.target)
        assert torch.equal(a.features["grid"].values, b.features["grid"].values)
    assert not all(torch.equal(a.target, b.target) for a, b in zip(first, later, strict=True))


def test_other_samples_are_left_as_they_are():
    others = [
        {"numbers": [1.0, 2.0], "label": 1},
        {"numbers": [3.0, 4.0], "grid": 0.5, "label": 0},
    ] * 4
    for view in views(Mixing(1.0, columns=["grid"]), others=others, batch_size=24):
        assert view.target.shape == (24, 2)
        grids = view.features["grid"].split()
        for modality, grid, target in zip(view.modalities, grids, view.target, strict=True):
            if modality == "numbers":
                assert target.tolist() == [0, 1]
            elif modality == "numbers+grid" or modality == "grid+numbers":
                assert target.tolist() == [1, 0]
                assert grid.values.unique().tolist() == [0.5]


@pytest.mark.parametrize(
    ("task", "target"),
    [
        (Detection(["grid"], "target", 2, ["a", "b"]), {"labels": ["a"], "boxes": [[0, 0, 1, 1]]}),
        (TokenClassification(["grid"], "target", ["a", "b"]), ["a", "b"] * 18),
    ],
)
def test_boxes_and_the_labels_of_tokens_are_left_as_they_are(task, target):
    task.fit([{"grid": 0, "target": target}])
    task.build(dim=8)
    items = [Item({"grid": i, "target": target}, str(i), i) for i in range(4)]
    batch = Encoder({"grid": Grid(8)}, {"places": task})(items)
    assert (
        BatchMixing(Mixing(1.0), {"places": task}, 0)(batch, items).task_batches
        == batch.task_batches
    )
    with pytest.raises(UserError, match=f"task places is a {type(task).__name__}, expected a"):
        BatchMixing(Mixing(1.0, tasks=["places"]), {"places": task}, 0)


def test_some_batches_are_not_mixed():
    mixed = [
        view.target.ndim == 2
        for e in range(10)
        for view in views(Mixing(1.0, probability=0.5), epoch=e)
    ]
    assert 3 < sum(mixed) < 17


@pytest.mark.parametrize(
    ("mixing", "message"),
    [
        (Mixing(), "give mixup, cutmix or both"),
        (Mixing(1.0, tasks=["clas"]), r"unknown task 'clas'; did you mean class\?"),
        (Mixing(1.0, columns=["gird"]), r"unknown column 'gird'; did you mean grid\?"),
    ],
)
def test_mistakes_are_named(mixing, message):
    with pytest.raises(UserError, match=message):
        views(mixing)
