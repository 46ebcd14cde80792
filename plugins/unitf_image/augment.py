"""Makes the augmentation steps of an image from a configuration."""

import difflib
import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import Field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from unitf import UserError
from unitf.tokenizer import augmentation_names, registered_augmentation
from unitf_image.augment_step import AugmentStep, ImageAugmentation
from unitf_image.augmentation_steps import Affine, Crop, Erase, Flip, Jitter, Rand, ResizedCrop
from unitf_image.torchvision_step import Torchvision

Setting = bool | int | float | str | list[int | float] | None
Settings = dict[str, Setting | dict[str, Setting]]

STEPS: dict[str, type] = {
    "resized_crop": ResizedCrop,
    "crop": Crop,
    "flip": Flip,
    "affine": Affine,
    "jitter": Jitter,
    "randaugment": Rand,
    "erase": Erase,
}

_LIMITS = {
    "padding": (0, 100_000),
    "probability": (0, 1),
    "area": (0, 1),
    "ratio": (0.001, 1000),
    "brightness": (0, 1),
    "contrast": (0, 1),
    "saturation": (0, 1),
    "degrees": (0, 180),
    "translate": (0, 0.5),
    "scale": (0, 0.9),
    "shear": (0, 80),
    "magnitude": (0, 10),
    "num_ops": (0, 100),
    "noise": (0, 10),
}


def make_steps(settings: Settings) -> tuple[ResizedCrop | None, list[AugmentStep]]:
    """Returns the crop that sets the image size, if there is one, and the other steps in order."""
    resized_crop, steps = None, []
    for name, setting in settings.items():
        if setting is None or setting is False:  # so that a YAML can disable a step of another YAML
            continue
        if name in STEPS:
            step = _own(name, setting)
        elif (step := registered_augmentation(ImageAugmentation, name, setting)) is not None:
            _refuse_two(name)
        else:
            step = _torchvision(name, setting)
        if isinstance(step, ResizedCrop):
            resized_crop = step
        else:
            steps.append(step)
    return resized_crop, steps


def _refuse_two(name: str) -> None:
    """Refuses a name that exists in a plugin and in torchvision, without importing torchvision."""
    spec = find_spec("torchvision")
    for folder in spec.submodule_search_locations or [] if spec else []:
        text = Path(folder, "transforms", "v2", "__init__.py").read_text(encoding="utf-8")
        if re.search(rf"\b{name}\b", text):
            raise UserError(
                f"augment: {name} is the name of a class of a plugin and of one of torchvision: "
                "expected a name of its own (`register(…, name=…)`)"
            )


def _own(name: str, setting: Any) -> Any:
    cls, location = STEPS[name], f"augment: {name}"
    known = {field.name: field for field in fields(cls) if field.init}
    if setting is True:
        setting = {}
    if not isinstance(setting, Mapping):
        setting = {next(iter(known)): setting}
    _check_names(location, setting, list(known))
    return cls(**{k: _checked(f"{location}: {k}", v, known[k]) for k, v in setting.items()})


def _checked(location: str, value: Any, field: Field) -> Any:
    """Returns a value after checking that its type and its range fit the field."""
    if isinstance(field.default, str):
        if value not in (choices := get_args(field.type)):
            raise UserError(f"{location}: expected one of {', '.join(choices)}, found {value!r}")
        return value
    low, high = _LIMITS[field.name]
    kind, pair = type(field.default), isinstance(field.default, tuple)
    numbers = value if pair and isinstance(value, list | tuple) else [value]
    right = len(numbers) == (2 if pair else 1) and all(
        isinstance(n, int if kind is int else int | float)
        and not isinstance(n, bool)
        and low <= n <= high
        for n in numbers
    )
    if not right or numbers[0] > numbers[-1]:
        what = "two rising numbers" if pair else "a whole number" if kind is int else "a number"
        raise UserError(f"{location}: expected {what} from {low:g} to {high:g}, found {value!r}")
    return tuple(map(float, numbers)) if pair else kind(numbers[0])


def _torchvision(name: str, setting: object) -> Torchvision:
    from torchvision.transforms import v2

    known = [n for n, c in vars(v2).items() if isinstance(c, type) and issubclass(c, v2.Transform)]
    _check_names("augment", [name], [*STEPS, *augmentation_names(), *known])
    setting = {} if setting is True else setting
    if not isinstance(setting, Mapping):
        raise UserError(f"augment: {name}: expected a dictionary of arguments, found {setting!r}")
    cls = getattr(v2, name)
    _check_names(f"augment: {name}", setting, list(inspect.signature(cls).parameters))
    try:
        return Torchvision(name, cls(**setting))
    except (TypeError, ValueError) as error:
        raise UserError(f"augment: {name}: {error}") from None


def _check_names(location: str, names: Iterable[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            matches = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            hint = (
                f"; did you mean {' or '.join(matches)}?"
                if matches
                else f"; there are {', '.join(known)}"
            )
            reminder = "; is it in a plugin that is not loaded?" if location == "augment" else ""
            raise UserError(f"{location}: unknown name {name!r}{hint}{reminder}")
