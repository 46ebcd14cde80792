"""Recognises the images of a column, and proposes how they become patches."""

import numpy as np

from unitf import Column, Proposal, UserError
from unitf_image.image_files import read_image

_LOOKED_AT = 32  # images
_LARGEST = 96  # pixels of a side; larger images are made smaller …
_SMALLER = 64  # … to this side
_FEW_PIXELS = 24  # a side with fewer pixels has smaller patches


def propose_patches(column: Column) -> Proposal | None:
    """Returns how ImagePatches encodes the images of a column; None: they are no images."""
    chosen = column.values[:: max(1, len(column.values) // _LOOKED_AT)][:_LOOKED_AT]
    try:
        images = [read_image(value, 3) for value in chosen]
    except UserError:
        return None
    if not images:
        return None
    sizes = {image.shape[1:] for image in images}
    largest = max(max(size) for size in sizes)
    is_grey = all(np.array_equal(image[0], image[1]) for image in images)
    settings: dict[str, object] = {"patch": 8, "stem": "convolution"}
    side = largest
    if len(sizes) > 1 or largest > _LARGEST:
        side = min(_SMALLER, largest)
        settings["size"] = side
    if side < _FEW_PIXELS:
        settings["patch"] = 4
    if is_grey:
        settings["channels"] = 1
    settings["augment"] = {"crop": max(1, side // 8), **({} if is_grey else {"flip": True})}
    # an array of real numbers may be anything
    are_real = any(isinstance(v, np.ndarray) and v.dtype.kind == "f" for v in chosen)
    confidence = 0.4 if are_real else 0.9
    return Proposal(settings, confidence, _reason(sizes, side, is_grey), _RECIPE)


_RECIPE = {
    "model.core.drop_path": 0.05,
    "model.optimizer.init_args.lr": 0.002,
    "model.optimizer.init_args.weight_decay": 0.05,
    "trainer.max_epochs": 40,
}


def _reason(sizes: set[tuple[int, ...]], side: int, is_grey: bool) -> str:
    colour = "grey" if is_grey else "colour"
    if len(sizes) == 1 and (size := next(iter(sizes))) and max(size) <= _LARGEST:
        found = f"{colour} images of {size[0]}×{size[1]} pixels"
    else:
        found = f"{colour} images of {len(sizes)} sizes, brought to {side}×{side} pixels"
    return found + (", shifted in training" if is_grey else ", shifted and mirrored in training")
