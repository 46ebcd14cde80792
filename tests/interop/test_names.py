"""Tables of names: every tensor has its counterpart, and comes back bit for bit."""

import pytest
import torch

from unitf import UserError
from unitf.interop import ignore_weights, map_blocks, map_joined, map_weight
from unitf.interop.transforms import Joined, Part, Picked, Rows, Same, Then, Transposed, half_turned
from unitf.interop.weight_map import WeightMap, WeightMapping

THEIRS = {
    "embed": torch.randn(9, 4),
    "tied": torch.zeros(0),
    "pos": torch.randn(1, 7, 4),
    "layer.0.q.weight": torch.randn(4, 4),
    "layer.0.q.bias": torch.randn(4),
    "layer.0.k.weight": torch.randn(2, 4),
    "layer.0.v.weight": torch.randn(2, 4),
    "layer.0.v.bias": torch.randn(2),
    "layer.0.conv.weight": torch.randn(4, 6),
    "patch.weight": torch.randn(4, 3, 2, 2),
    "index": torch.arange(3),
}
THEIRS["tied"] = THEIRS["embed"]
LINES = [
    map_weight(["embed", "tied"], "table"),
    map_weight("pos", "prefix", Part(0, 2)),
    map_weight("pos", "places", Part(2, 7)),
    *map_blocks(
        1,
        "layer.{}",
        "blocks.{}",
        [
            map_joined(["q", "k", "v"], "qkv", [4, 2, 2]),
            map_weight("conv", "inner", Transposed()),
        ],
    ),
    map_weight("patch", "projection"),
    *ignore_weights("index"),
]
OURS = {
    "table": torch.zeros(9, 4),
    "prefix": torch.zeros(2, 4),
    "places": torch.zeros(5, 4),
    "blocks.0.qkv.weight": torch.zeros(8, 4),
    "blocks.0.qkv.bias": torch.zeros(8),
    "blocks.0.inner.weight": torch.zeros(6, 4),
    "projection.weight": torch.zeros(4, 12),
}


def test_what_goes_there_comes_back_bit_for_bit():
    table = WeightMap(LINES, THEIRS)
    made = table.to_unitf(OURS)
    assert {name: t.shape for name, t in made.items()} == {n: t.shape for n, t in OURS.items()}
    back = table.from_unitf(made)
    assert set(back) == set(THEIRS) - {"index"}
    for name, tensor in back.items():
        assert torch.equal(tensor, THEIRS[name]), name


def test_a_bias_that_only_some_of_the_joined_have_is_zero_for_the_others():
    made = WeightMap(LINES, THEIRS).to_unitf(OURS)
    assert torch.equal(made["blocks.0.qkv.bias"][4:6], torch.zeros(2))
    assert torch.equal(made["blocks.0.qkv.bias"][6:], THEIRS["layer.0.v.bias"])


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [
        ({"more": torch.zeros(1)}, {}, "no use for more"),
        ({"index": None, "patch.weight": None}, {}, "found none for projection.weight"),
        ({}, {"extra": torch.zeros(1)}, "found none for extra"),
        ({"embed": torch.zeros(9, 4)}, {}, "embed, tied: tensors that this architecture ties"),
        ({}, {"table": torch.zeros(10, 4)}, "table: found 9×4, expected 10×4"),
    ],
)
def test_what_does_not_fit_is_named(theirs, ours, expected):
    state = {name: t for name, t in (THEIRS | theirs).items() if t is not None}
    with pytest.raises(UserError, match=expected):
        WeightMap(LINES, state).to_unitf(OURS | ours)


def test_two_lines_cannot_make_one_tensor():
    lines = [*LINES, map_weight("index", "table")]
    with pytest.raises(UserError, match="two tensors claim table"):
        WeightMap(lines, THEIRS).to_unitf(OURS)


def test_a_tensor_that_the_model_lacks_is_named_on_the_way_back():
    table = WeightMap(LINES, THEIRS)
    made = table.to_unitf(OURS)
    del made["prefix"]
    with pytest.raises(UserError, match="no prefix, which makes pos"):
        table.from_unitf(made)


@pytest.mark.parametrize(
    "change",
    [
        Same(),
        Transposed(),
        Rows(half_turned(2, 6)),
        Rows(half_turned(2, 6, 4)),
        Then(Joined([5, 7]), Rows(half_turned(2, 6))),
    ],
)
def test_every_change_can_be_undone(change):
    parts = [torch.randn(12, 3)]
    if isinstance(change, Then):
        parts = [torch.randn(5, 3), torch.randn(7, 3)]
    for before, after in zip(parts, change.from_unitf(change.to_unitf(parts)), strict=True):
        assert torch.equal(before, after)


def test_half_turned_brings_neighbours_half_a_head_apart():
    order = half_turned(num_heads=2, head_dim=6, rotary_dim=4).tolist()
    assert order == [0, 2, 1, 3, 4, 5, 6, 8, 7, 9, 10, 11]


def test_rows_can_be_picked_from_here_and_there():
    theirs = {"pos": torch.randn(1, 5, 3), "bias": torch.randn(4)}
    lines = [
        map_weight("pos", "outer", Picked([0, 4, 3])),
        map_weight("pos", "inner", Part(1, 3)),
        map_weight("bias", "one", Part(0, 1)),
        map_weight("bias", "rest", Part(1, 4)),
    ]
    table = WeightMap(lines, theirs)
    wanted = {"outer": (3, 3), "inner": (2, 3), "one": (1,), "rest": (3,)}
    made = table.to_unitf({name: torch.zeros(shape) for name, shape in wanted.items()})
    assert torch.equal(made["outer"], theirs["pos"][0, [0, 4, 3]])
    assert torch.equal(made["rest"], theirs["bias"][1:])
    back = table.from_unitf(made)
    assert all(torch.equal(back[name], theirs[name]) for name in theirs)


def test_a_line_stands_for_all_tensors_of_a_module():
    found = WeightMapping(("a.b",), "c").expand(["a.b.weight", "a.b.bias", "a.bc.weight"])
    assert {one.ours for one in found} == {"c.weight", "c.bias"}
