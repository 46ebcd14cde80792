"""What a random change of a training image is, and what it moves."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from unitf import RecipeError
from unitf.tokenizer import Augmentation, LocatedTarget
from unitf_image.image_files import Pixels
from unitf_image.placement import Placement

Fill = Float[np.ndarray, " C"]  # the mean colour; 1 is white


@runtime_checkable
class AugmentStep(Protocol):
    """A random change of an image, and of what is located in it."""

    @property
    def moves(self) -> bool: ...

    def __call__(self, pixels: Pixels, fill: Fill) -> Pixels: ...

    def move(
        self, pixels: Pixels, fill: Fill, targets: Sequence[LocatedTarget]
    ) -> tuple[Pixels, list[LocatedTarget]]: ...


class ImageAugmentation(Augmentation, ABC):
    """Base of image augmentations in plugins: `augment: {NAME: {ARGUMENT: …}}`."""

    @abstractmethod
    def __call__(self, pixels: Pixels, fill: Fill) -> Pixels:
        """Returns the changed image with the same number of channels and the same type.

        Args:
            pixels: C×H×W, of uint8 (0 to 255) or float32.
            fill: the mean colour (C), where 1 is white.
        """

    def move(
        self, pixels: Pixels, fill: Fill, targets: Sequence[LocatedTarget]
    ) -> tuple[Pixels, list[LocatedTarget]]:
        """Returns the changed image, and where its boxes, points and masks are in it.

        Raises:
            RecipeError: the class `moves`, and does not write this method.
        """
        if self.moves and targets:
            raise unmoved(type(self).__name__, targets)
        return self(pixels, fill), list(targets)


class PlacedStep(ABC):
    """A step that moves what an image shows by an affine map."""

    moves: ClassVar[bool] = True

    @abstractmethod
    def warp(self, pixels: Pixels, fill: Fill) -> tuple[Pixels, Placement | None]:
        """Returns the changed image, and where its pixels come from; None: from the same place."""

    def __call__(self, pixels: Pixels, fill: Fill) -> Pixels:
        return self.warp(pixels, fill)[0]

    def move(
        self, pixels: Pixels, fill: Fill, targets: Sequence[LocatedTarget]
    ) -> tuple[Pixels, list[LocatedTarget]]:
        changed, placement = self.warp(pixels, fill)
        if placement is None:
            return changed, list(targets)
        return changed, [placement.move(target) for target in targets]


class ColourStep(ABC):
    """A step that moves nothing."""

    moves: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, pixels: Pixels, fill: Fill) -> Pixels: ...

    def move(
        self, pixels: Pixels, fill: Fill, targets: Sequence[LocatedTarget]
    ) -> tuple[Pixels, list[LocatedTarget]]:
        return self(pixels, fill), list(targets)


def unmoved(name: str, targets: Sequence[LocatedTarget]) -> RecipeError:
    """Returns the error for a step that would move targets and does not say where to."""
    kinds = ", ".join(sorted({type(target).__name__ for target in targets}))
    return RecipeError(f"augment: {name} moves what {kinds} locate, and does not say where to")
