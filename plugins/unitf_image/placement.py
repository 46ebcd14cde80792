"""Placement: where the pixels of a changed image come from, and where targets go to."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from unitf import UserError
from unitf.tokenizer import Boxes, LabelMap, LocatedTarget, Points
from unitf_image.resizing import Size

VISIBLE = 0.25  # the least part of a box that is left of it; else its object is gone


@dataclass(frozen=True, eq=False)
class Placement:
    """An affine map from the pixels of a changed image to those of the image before.

    Coordinates are (x, y) in pixels; those of the first pixel's centre are (0.5, 0.5).

    Args:
        matrix: the map.
        before: rows and columns of the image before.
        after: rows and columns of the changed image.
    """

    matrix: Float[np.ndarray, "2 3"]
    before: Size
    after: Size

    @classmethod
    def of_box(
        cls,
        top: int | float,
        left: int | float,
        size: tuple[int | float, int | float],
        before: Size,
        after: Size,
    ) -> "Placement":
        """The placement of a box (its corner and its size in pixels) that is resized to `after`."""
        (rows, columns), (height, width) = size, after
        matrix = np.array([[columns / width, 0.0, left], [0.0, rows / height, top]])
        return cls(matrix, before, after)

    @classmethod
    def flipped(cls, size: Size) -> "Placement":
        """The placement of an image that is mirrored left to right."""
        return cls(np.array([[-1.0, 0.0, size[1]], [0.0, 1.0, 0.0]]), size, size)

    def move(self, target: LocatedTarget) -> LocatedTarget:
        """Returns a target in the changed image; objects that are out of it are left out.

        Raises:
            UserError: the target is of no image.
        """
        if isinstance(target, Boxes):
            return self._boxes(target)
        if isinstance(target, Points):
            return points_inside(self._forth(target.values), target)
        if isinstance(target, LabelMap):
            return self._labels(target)
        raise UserError(f"found {type(target).__name__} of an image, expected boxes, points, masks")

    def _boxes(self, target: Boxes) -> Boxes:
        left, top, right, bottom = target.values.T
        corners = np.stack([[left, right, right, left], [top, top, bottom, bottom]], axis=-1)
        corners = self._forth(corners.transpose(1, 0, 2).reshape(-1, 2)).reshape(-1, 4, 2)
        return boxes_inside(np.concatenate([corners.min(1), corners.max(1)], axis=1), target)

    def _forth(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Returns where points of the image before are now, both as fractions of the image."""
        pixels = points * np.array(self.before[::-1]) - self.matrix[:, 2]
        return np.linalg.solve(self.matrix[:, :2], pixels.T).T / np.array(self.after[::-1])

    def _labels(self, target: LabelMap) -> LabelMap:
        """Returns the label of the pixel before that each pixel comes from."""
        height, width = target.values.shape  # it may be finer or coarser than the image
        rows, columns = self._after(target.values.shape)
        y, x = np.mgrid[:rows, :columns] + 0.5
        scale = np.array([self.after[1] / columns, self.after[0] / rows])
        sources = np.stack([x, y], axis=-1) * scale @ self.matrix[:, :2].T + self.matrix[:, 2]
        sources = sources * np.array([width / self.before[1], height / self.before[0]])
        x, y = np.floor(sources).astype(int).transpose(2, 0, 1)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        found = target.values[y.clip(0, height - 1), x.clip(0, width - 1)]
        return replace(target, values=np.where(inside, found, target.nothing))

    def _after(self, size: Size) -> Size:
        """Returns the size of a moved map: that of the image, if they agreed before."""
        if size == self.before:
            return self.after
        ratios = (new / old for new, old in zip(self.after, self.before, strict=True))
        rows, columns = (max(1, round(s * r)) for s, r in zip(size, ratios, strict=True))
        return rows, columns


def points_inside(points: Float[np.ndarray, "n 2"], target: Points) -> Points:
    """Returns the moved points of a target that are in the image."""
    inside = ((points >= 0) & (points < 1)).all(1)
    return Points(points[inside], target.kept[inside])


def boxes_inside(whole: Float[np.ndarray, "n 4"], target: Boxes) -> Boxes:
    """Returns the moved boxes of a target, cut at the image; of an object, enough must be left."""
    boxes = whole.clip(0, 1)
    area = _areas(boxes)
    left_over = (area > 0) & (area >= VISIBLE * _areas(whole))
    return Boxes(boxes[left_over].astype(np.float32), target.kept[left_over])


def _areas(boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, " n"]:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
