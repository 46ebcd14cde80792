"""Few rows are multiplied by another way, to the same result; what learns goes the plain way."""

import pytest
import torch
from torch.nn import functional as F

from unitf.nn.projection import _CAN_PACK, PackedWeights, Projection, project


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inner", "outer"), [(96, 1200), (1200, 96), (8, 8)])
@pytest.mark.parametrize("num_rows", [0, 1, 2, 3, 8, 9])
def test_few_rows_give_what_a_linear_layer_gives(num_rows, inner, outer, bias):
    layer = Projection(inner, outer, bias=bias)
    rows = torch.randn(num_rows, inner)
    with torch.inference_mode():
        found = layer(rows)
    assert found.shape == (num_rows, outer)
    torch.testing.assert_close(found, F.linear(rows, layer.weight, layer.bias).detach())


def test_more_axes_and_gradients_go_the_plain_way():
    layer = Projection(300, 300)
    rows = torch.randn(2, 1, 300)
    with torch.no_grad():
        assert torch.equal(layer(rows), F.linear(rows, layer.weight, layer.bias))
    layer(rows[0]).sum().backward()
    torch.testing.assert_close(layer.weight.grad, rows[0].expand(300, 300))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_dtype_is_kept(dtype):
    weight, rows = torch.randn(500, 200, dtype=dtype), torch.randn(1, 200, dtype=dtype)
    with torch.no_grad():
        assert torch.equal(project(rows, weight), F.linear(rows, weight))


def test_autocast_is_obeyed():
    weight, rows = torch.randn(500, 200), torch.randn(1, 200)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert project(rows, weight).dtype is torch.bfloat16


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inner", "outer"), [(96, 1200), (1200, 96)])
@pytest.mark.parametrize("num_rows", [1, 2, 3, 8, 40])
def test_packed_weights_give_what_a_linear_layer_gives(num_rows, inner, outer, bias):
    layer, packed = Projection(inner, outer, bias=bias), PackedWeights()
    rows = torch.randn(inner, num_rows).mT  # as they come from a core: the other way
    expected = F.linear(rows, layer.weight, layer.bias).detach()
    for _ in range(2):  # packed now, and before
        with torch.inference_mode(), packed.used():
            torch.testing.assert_close(layer(rows), expected)
    assert len(packed._found) == (num_rows > 2 and _CAN_PACK)


def test_what_was_packed_is_used_only_while_it_is_said_to_be():
    layer, rows, packed = Projection(300, 300), torch.randn(8, 300), PackedWeights()
    with torch.no_grad():
        with packed.used():
            before = layer(rows)
        layer.weight.mul_(2)
        torch.testing.assert_close(layer(rows), F.linear(rows, layer.weight, layer.bias))
        with PackedWeights().used():
            after = layer(rows)
    torch.testing.assert_close(after - layer.bias, 2 * (before - layer.bias))
    with packed.used():  # what learns is not packed
        layer(rows).sum().backward()
    torch.testing.assert_close(layer.weight.grad, rows.sum(0).expand(300, 300))


def test_what_has_no_room_or_is_no_parameter_is_multiplied_as_it_lies():
    first, second = Projection(300, 300), Projection(300, 300)
    rows, packed = torch.randn(8, 300), PackedWeights(300 * 300)
    with torch.no_grad(), packed.used():
        for layer in (first, second, first):
            torch.testing.assert_close(layer(rows), F.linear(rows, layer.weight, layer.bias))
        torch.testing.assert_close(project(rows, second.weight * 2), rows @ second.weight.mT * 2)
    assert [*packed._found] == ([id(first.weight)] if _CAN_PACK else [])
