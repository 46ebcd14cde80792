"""A transform of torchvision as an augmentation step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from unitf import UserError
from unitf.tokenizer import Boxes, LabelMap, LocatedTarget, Points
from unitf_image.augment_step import Fill, unmoved
from unitf_image.image_files import Pixels
from unitf_image.placement import boxes_inside, points_inside

_DTYPES = (torch.uint8, torch.float32)
_KEEPING = {
    "_augment",
    "_color",
    "_misc",
    "_type_conversion",
}  # torchvision's modules of transforms that do not move anything


@dataclass(frozen=True)
class Torchvision:
    """A transform of torchvision.transforms.v2 for an image of uint8 or float32.

    Boxes, points and masks go through it as torchvision's `tv_tensors`.
    """

    name: str
    transform: Any

    @property
    def moves(self) -> bool:
        """Whether the transform moves what the image shows."""
        return type(self.transform).__module__.rpartition(".")[2] not in _KEEPING

    def __call__(self, pixels: Pixels, fill: Fill) -> Pixels:
        return self._pixels(self._changed(torch.from_numpy(np.ascontiguousarray(pixels))))

    def move(
        self, pixels: Pixels, fill: Fill, targets: Sequence[LocatedTarget]
    ) -> tuple[Pixels, list[LocatedTarget]]:
        """Returns the changed image, and where its boxes, points and masks are in it.

        Raises:
            UserError: the transform cannot move them.
        """
        if not (self.moves and targets):
            return self(pixels, fill), list(targets)
        from torchvision import tv_tensors

        size = (pixels.shape[1], pixels.shape[2])
        image = tv_tensors.Image(torch.from_numpy(np.ascontiguousarray(pixels)))
        given = [_as_tensor(target, size, tv_tensors) for target in targets]
        kinds = [type(tensor) for tensor in given]
        changed = self._changed([image, *given])
        if [type(tensor) for tensor in changed[1:]] != kinds:
            raise unmoved(self.name, targets)
        pixels, after = self._pixels(changed[0]), changed[0].shape[-2:]
        pairs = zip(targets, changed[1:], strict=True)
        return pixels, [_as_target(target, tensor, after) for target, tensor in pairs]

    def _changed(self, value: Any) -> Any:
        try:
            return self.transform(value)
        except Exception as error:
            raise UserError(f"augment: {self.name}: {' '.join(str(error).split())}") from error

    def _pixels(self, changed: Any) -> Pixels:
        if not isinstance(changed, torch.Tensor) or changed.dtype not in _DTYPES:
            raise UserError(
                f"augment: {self.name} gave {getattr(changed, 'dtype', type(changed).__name__)}, "
                "expected an image of uint8 or float32"
            )
        return changed.numpy()


def _as_tensor(target: LocatedTarget, size: tuple[int, int], tensors: Any) -> Any:
    """Returns a target as torchvision knows it, in pixels, and not clamped to the image."""
    if isinstance(target, LabelMap):
        if target.values.shape != size:
            raise UserError(f"a mask of {target.values.shape}, expected the image's {size}")
        return tensors.Mask(torch.from_numpy(target.values.astype(np.int64)))
    scale = torch.tensor([size[1], size[0]] * (target.values.shape[1] // 2))
    values = torch.from_numpy(target.values.astype(np.float64)) * scale
    if isinstance(target, Boxes):
        return tensors.BoundingBoxes(values, format="XYXY", canvas_size=size, clamping_mode=None)
    if isinstance(target, Points):
        return tensors.KeyPoints(values, canvas_size=size)
    raise UserError(f"found {type(target).__name__} of an image, expected boxes, points, masks")


def _as_target(target: LocatedTarget, tensor: Any, size: Sequence[int]) -> LocatedTarget:
    """Returns a target with what torchvision made of it."""
    if isinstance(target, LabelMap):
        return replace(target, values=tensor.numpy())
    scale = np.array([size[1], size[0]] * (target.values.shape[1] // 2))
    whole = tensor.as_subclass(torch.Tensor).numpy() / scale
    if isinstance(target, Points):
        return points_inside(whole, target)
    assert isinstance(target, Boxes)
    return boxes_inside(whole, target)
