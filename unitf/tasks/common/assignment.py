"""Which points learn which object: task-aligned assignment (Feng et al., 2021)."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unitf.tasks.common.boxes import overlaps

_MOST = 10  # points of an object
_CLASS_POWER, _OVERLAP_POWER = 0.5, 6.0
_TINY = 1e-9


class Assigned(NamedTuple):
    """The points that learn an object.

    Args:
        points: their numbers.
        objects: the number of each one's object.
        quality: what the probability of the object's class should be, from 0 to 1.
    """

    points: Int[Tensor, " k"]
    objects: Int[Tensor, " k"]
    quality: Float[Tensor, " k"]


@torch.no_grad()
def assign(
    probabilities: Float[Tensor, "m C"],
    boxes: Float[Tensor, "m 4"],
    centres: Float[Tensor, "m 2"],
    labels: Int[Tensor, " n"],
    objects: Float[Tensor, "n 4"],
) -> Assigned:
    """Returns the points that learn the objects of one sample.

    Of the points within an object, those learn it whose prediction of class and box fits it best;
    a point within several objects learns the one that its box overlaps most. An object so small
    that no point lies in it has the nearest point.

    Args:
        probabilities: of each class at each point.
        boxes: the predicted boxes, by corners.
        centres: (x, y) of each point.
        labels: the class of each object.
        objects: its box, by corners.
    """
    overlap = overlaps(objects, boxes)  # (n, m)
    fit = probabilities[:, labels].mT ** _CLASS_POWER * overlap**_OVERLAP_POWER
    inside = _inside(centres, objects)
    fit = torch.where(inside, fit + _TINY, 0.0)
    best = fit.topk(min(_MOST, len(centres)), dim=1)
    chosen = torch.zeros_like(inside).scatter_(1, best.indices, best.values > 0)
    owner = torch.where(chosen, overlap + _TINY, -1.0).argmax(0)
    chosen &= owner == torch.arange(len(objects), device=owner.device)[:, None]
    fit = torch.where(chosen, fit, 0.0)
    highest = torch.where(chosen, overlap, 0.0).amax(1, keepdim=True)
    quality = fit / fit.amax(1, keepdim=True).clamp(min=_TINY) * highest
    numbers, points = chosen.nonzero(as_tuple=True)
    return Assigned(points, numbers, quality[numbers, points])


def _inside(centres: Float[Tensor, "m 2"], objects: Float[Tensor, "n 4"]) -> Bool[Tensor, "n m"]:
    """Returns which points lie in which object; the nearest one counts as inside."""
    after, before = centres - objects[:, None, :2], objects[:, None, 2:] - centres
    inside = torch.cat([after, before], dim=2).amin(2) > 0
    middles = (objects[:, :2] + objects[:, 2:]) / 2
    nearest = torch.cdist(middles, centres).argmin(1, keepdim=True)
    return inside.scatter(1, nearest, value=True)
