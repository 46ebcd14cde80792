"""Boxes: (centre x, centre y, width, height) or corners, and how well two of them agree."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def to_corners(boxes: Float[Tensor, "*N 4"]) -> Float[Tensor, "*N 4"]:
    """(left, top, right, bottom) of boxes given by centre and size."""
    x, y, width, height = boxes.unbind(-1)
    left, top = x - width / 2, y - height / 2
    return torch.stack([left, top, left + width, top + height], dim=-1)


def to_centres(boxes: Float[Tensor, "*N 4"]) -> Float[Tensor, "*N 4"]:
    """Centre and size of boxes given by their corners."""
    left, top, right, bottom = boxes.unbind(-1)
    return torch.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], dim=-1)


def generalised_overlap(
    one: Float[Tensor, "*N 4"], other: Float[Tensor, "*N 4"]
) -> Float[Tensor, "*N"]:
    """Intersection over union, less the share of the hull that neither fills, of corner boxes.

    From -1 (far apart) to 1 (the same): Rezatofighi et al., 2019.
    """
    shared = torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(
        one[..., :2], other[..., :2]
    )
    hull = torch.maximum(one[..., 2:], other[..., 2:]) - torch.minimum(one[..., :2], other[..., :2])
    both = shared.clamp(min=0).prod(-1)
    union = _area(one) + _area(other) - both
    # two boxes without any area are never near: no division by zero
    tiny = torch.finfo(union.dtype).tiny
    filled = hull.prod(-1).clamp(min=tiny)
    return both / union.clamp(min=tiny) - (filled - union) / filled


def _area(boxes: Float[Tensor, "*N 4"]) -> Float[Tensor, "*N"]:
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)


def match(costs: Float[Tensor, "Q n"]) -> tuple[Tensor, Tensor]:
    """The cheapest pairs of rows and columns, each used at most once (the Hungarian method).

    What is not finite is matched last.
    """
    from scipy.optimize import linear_sum_assignment  # scipy: half a second

    highest = torch.finfo(torch.float32).max
    finite = costs.detach().float().nan_to_num(nan=highest, posinf=highest, neginf=highest)
    rows, columns = linear_sum_assignment(finite.cpu().numpy())
    return tuple(
        torch.from_numpy(np.asarray(part, dtype=np.int64)).to(costs.device)
        for part in (rows, columns)
    )  # type: ignore[return-value]
