"""What a configuration says about augmentation, as steps that change an image."""

import difflib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from unitf.errors import UserError
from unitf_image.reading import Pixels
from unitf_image.steps import Affine, Crop, Erase, Fill, Flip, Jitter, Rand, ResizedCrop, Step

Setting = bool | int | float | str | list[float] | None
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


@dataclass(frozen=True)
class Torchvision:
    """A transform of torchvision.transforms.v2, for an image of uint8 or float32."""

    name: str
    transform: Any

    def __call__(self, pixels: Pixels, fill: Fill) -> Pixels:
        try:
            changed = self.transform(torch.from_numpy(np.ascontiguousarray(pixels)))
        except Exception as error:
            raise UserError(f"augment: {self.name}: {' '.join(str(error).split())}") from error
        if changed.ndim != 3 or changed.dtype not in (torch.uint8, torch.float32):
            raise UserError(
                f"augment: {self.name} gave {changed.dtype} of shape {tuple(changed.shape)}, "
                "expected an image of uint8 or float32"
            )
        return changed.numpy()


def make_steps(settings: Settings) -> tuple[ResizedCrop | None, list[Step]]:
    """The crop that sets the size of the image, if there is one, and the steps in their order."""
    resized_crop, steps = None, []
    for name, setting in settings.items():
        if setting is None or setting is False:  # so that a YAML can take back another's step
            continue
        step = _own(name, setting) if name in STEPS else _torchvision(name, setting)
        if isinstance(step, ResizedCrop):
            resized_crop = step
        else:
            steps.append(step)
    return resized_crop, steps


def _own(name: str, setting: Any) -> Any:
    cls = STEPS[name]
    names = [field.name for field in fields(cls)]
    if setting is True:
        setting = {}
    if not isinstance(setting, Mapping):
        setting = {names[0]: setting}
    _check_names(f"augment: {name}", setting, names)
    return cls(**setting)


def _torchvision(name: str, setting: Any) -> Torchvision:
    from torchvision.transforms import v2

    known = [n for n, c in vars(v2).items() if isinstance(c, type) and issubclass(c, v2.Transform)]
    _check_names("augment", [name], [*STEPS, *known])
    setting = {} if setting is True else setting
    if not isinstance(setting, Mapping):
        raise UserError(f"augment: {name}: expected a dictionary of arguments, found {setting!r}")
    cls = getattr(v2, name)
    _check_names(f"augment: {name}", setting, list(inspect.signature(cls).parameters))
    try:
        return Torchvision(name, cls(**setting))
    except (TypeError, ValueError) as error:
        raise UserError(f"augment: {name}: {error}") from None


def _check_names(place: str, found: Iterable[str], known: list[str]) -> None:
    for name in found:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            hint = (
                f"; did you mean {' or '.join(near)}?"
                if near
                else f"; there are {', '.join(known)}"
            )
            raise UserError(f"{place}: unknown name {name!r}{hint}")
