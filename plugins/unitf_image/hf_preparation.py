"""Reads how a published model prepares its images from the preprocessor beside it."""

from dataclasses import replace
from typing import Any

from unitf import UserError
from unitf_image.resizing import Resizing

_INTERPOLATIONS = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # PIL's numbers


def preparation(source: str | None, image_size: tuple[int, int]) -> dict[str, Any]:
    """Returns arguments of ImagePatches: `size`, `resizing`, `mean`, `std`.

    Args:
        source: a folder or hub name; if it is None or has no preprocessor, images are only resized
            to the model's size and scaled to -1 to 1.
        image_size: the model's size, rows and columns.

    Raises:
        UserError: the preprocessor does something to images that unitf does not.
    """
    settings = _settings(source)
    if settings is None:
        return {"size": list(image_size), "mean": 0.5, "std": 0.5}
    size, resizing = list(image_size), None
    if settings.get("do_resize", True):
        size, resizing = _resizing(settings, source)
    elif settings.get("do_center_crop"):
        raise UserError(f"{source}: its preprocessor cuts images out without resizing them")
    return {"size": size, "resizing": resizing, **_colours(settings)}


def enlarged(fitting: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Returns the arguments for another size, with the same part of the image in view."""
    ratio = size[0] / fitting["size"][0]
    to = [round(length * ratio) for length in fitting["resizing"].to]
    return {**fitting, "size": list(size), "resizing": replace(fitting["resizing"], to=to)}


def stretched(source: str | None, size: tuple[int, int]) -> dict[str, Any]:
    """Returns arguments that resize the whole image without keeping its aspect."""
    settings = _settings(source)
    interpolation: Any = "bilinear"
    colours: dict[str, Any] = {"mean": 0.5, "std": 0.5}
    if settings is not None:
        interpolation = _INTERPOLATIONS.get(int(settings.get("resample", 2)), interpolation)
        colours = _colours(settings)
    resizing = Resizing(list(size), False, interpolation)
    return {"size": list(size), "resizing": resizing, **colours}


def _colours(settings: dict[str, Any]) -> dict[str, Any]:
    """Returns mean and deviation where 1 is white; the library applies `rescale_factor` first."""
    white = 255.0
    if settings.get("do_rescale", True):
        white *= settings.get("rescale_factor", 1 / 255)
    white = 1 if abs(white - 1) < 1e-9 else white
    if not settings.get("do_normalize", True):
        return {"mean": 0.0, "std": 1 / white}
    return {
        "mean": [m / white for m in settings["image_mean"]],
        "std": [s / white for s in settings["image_std"]],
    }


def _settings(source: str | None) -> dict[str, Any] | None:
    if source is None:
        return None
    from transformers import AutoImageProcessor

    try:
        return AutoImageProcessor.from_pretrained(source, trust_remote_code=False).to_dict()
    except (OSError, ValueError, KeyError, ImportError):
        return None  # a model without a preprocessor


def _resizing(settings: dict[str, Any], source: str | None) -> tuple[list[int], Resizing]:
    """Returns the final size and the resizing."""
    interpolation: Any = _INTERPOLATIONS.get(int(settings.get("resample", 2)))
    if interpolation is None:
        raise UserError(f"{source}: its preprocessor resizes with resample {settings['resample']}")
    size = settings["size"]
    cropped = settings.get("crop_size") if settings.get("do_center_crop") else None
    if "height" in size:
        to, keep_aspect = [size["height"], size["width"]], False
    elif "shortest_edge" in size and "longest_edge" not in size and cropped is not None:
        to, keep_aspect = [size["shortest_edge"]] * 2, True
    else:
        raise UserError(f"{source}: its preprocessor resizes to {size}, which unitf cannot")
    final_size = to if cropped is None else [cropped["height"], cropped["width"]]
    if min(a - b for a, b in zip(to, final_size, strict=True)) < 0:
        raise UserError(
            f"{source}: its preprocessor cuts {final_size} out of {to}, which is smaller"
        )
    return final_size, Resizing(to, keep_aspect, interpolation, "down")
