"""Boxes by centre and size or by corners: conversion, overlap and matching."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def to_corners(boxes: Float[Tensor, "*N 4"]) -> Float[Tensor, "*N 4"]:
    """Converts (centre x, centre y, width, height) to (left, top, right, bottom)."""
    x, y, width, height = boxes.unbind(-1)
    left, top = x - width / 2, y - height / 2
    return torch.stack([left, top, left + width, top + height], dim=-1)


def to_centres(boxes: Float[Tensor, "*N 4"]) -> Float[Tensor, "*N 4"]:
    """Converts (left, top, right, bottom) to (centre x, centre y, width, height)."""
    left, top, right, bottom = boxes.unbind(-1)
    return torch.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], dim=-1)


def generalised_overlap(
    one: Float[Tensor, "*N 4"], other: Float[Tensor, "*N 4"]
) -> Float[Tensor, "*N"]:
    """Returns the generalised intersection over union of boxes by corners, from -1 to 1.

    It is the intersection over union, minus the fraction of the enclosing box that lies in neither
    of the two boxes (Rezatofighi et al., 2019). Equal boxes have 1, distant ones nearly -1.
    """
    shared = torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(
        one[..., :2], other[..., :2]
    )
    hull = torch.maximum(one[..., 2:], other[..., 2:]) - torch.minimum(one[..., :2], other[..., :2])
    both = shared.clamp(min=0).prod(-1)
    union = _area(one) + _area(other) - both
    # two boxes without an area would divide by zero
    tiny = torch.finfo(union.dtype).tiny
    filled = hull.prod(-1).clamp(min=tiny)
    return both / union.clamp(min=tiny) - (filled - union) / filled


def overlaps(ones: Float[Tensor, "n 4"], others: Float[Tensor, "m 4"]) -> Float[Tensor, "n m"]:
    """Returns the intersection over union of each box with each other box, by corners."""
    one, other = ones[:, None], others[None]
    shared = torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(
        one[..., :2], other[..., :2]
    )
    both = shared.clamp(min=0).prod(-1)
    union = _area(one) + _area(other) - both
    return both / union.clamp(min=torch.finfo(union.dtype).tiny)  # two boxes without an area: 0


def distinct(
    boxes: Float[Tensor, "n 4"],
    scores: Float[Tensor, " n"],
    kinds: Int[Tensor, " n"],
    most: float,
) -> Int[Tensor, " k"]:
    """Returns the boxes that are left by non-maximum suppression, the highest score first.

    Args:
        boxes: by corners.
        scores: of each box.
        kinds: boxes of different kinds do not suppress each other.
        most: the overlap of two boxes from which the lower one is left out.
    """
    order = scores.argsort(descending=True, stable=True)
    alike = kinds[order][:, None] == kinds[order]
    suppresses = (alike & (overlaps(boxes[order], boxes[order]) > most)).cpu().numpy()
    left = np.ones(len(order), dtype=bool)
    for number in range(len(left)):
        if left[number]:
            left[number + 1 :] &= ~suppresses[number, number + 1 :]
    return order[torch.from_numpy(left).to(order.device)]


def _area(boxes: Float[Tensor, "*N 4"]) -> Float[Tensor, "*N"]:
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)


def match(costs: Float[Tensor, "Q n"]) -> tuple[Tensor, Tensor]:
    """Returns the pairs (row, column) of least total cost (the Hungarian method).

    Each row and each column is in at most one pair. Costs that are not finite are used last.
    """
    from scipy.optimize import linear_sum_assignment  # imported late: it takes half a second

    highest = torch.finfo(torch.float32).max
    finite = costs.detach().float().nan_to_num(nan=highest, posinf=highest, neginf=highest)
    rows, columns = (
        torch.from_numpy(np.asarray(indices, dtype=np.int64)).to(costs.device)
        for indices in linear_sum_assignment(finite.cpu().numpy())
    )
    return rows, columns
