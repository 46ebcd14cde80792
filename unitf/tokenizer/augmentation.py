"""Augmentation: a random change of training values that a plugin can bring."""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from unitf import registry
from unitf.errors import UserError
from unitf.registry.configurable import Configurable
from unitf.registry.discovery import class_path

AugmentationClass = TypeVar("AugmentationClass", bound="Augmentation")


class Augmentation(Configurable):
    """A random change of a training value, which a recipe names in a tokenizer's arguments.

    Each modality has a subclass that says what is called with what: `unitf_image.ImageAugmentation`
    changes pixels, `unitf_audio.SoundAugmentation` a waveform and
    `unitf_audio.SpectrumAugmentation` a spectrogram. A class of a plugin is a subclass of one of
    these, so that it cannot be named for values of another modality.

    It draws from the global generators of Python, NumPy or torch. The data loader seeds them for
    each sample. The arguments of its constructor are plain data, because a checkpoint keeps them.
    """

    # whether what the value shows is elsewhere afterwards, or cut off (boxes would be wrong then)
    moves: ClassVar[bool] = True


def augmentation_names() -> list[str]:
    """The short names of all registered augmentations, of whatever modality."""
    return list(registry.names("augmentations"))


def registered_augmentation(
    base: type[AugmentationClass], name: str, setting: Any, place: str = "augment"
) -> AugmentationClass | None:
    """The augmentation that a recipe names by the short name of a registered class.

    Args:
        base: which subclass of `Augmentation` fits here.
        name: the short name.
        setting: the arguments of its constructor by name, its first argument alone, or True for
            none.
        place: what an error message begins with.

    Returns:
        None if no plugin has registered a class of this name.

    Raises:
        UserError: the class changes values of another modality, or does not take the arguments.
    """
    if name not in augmentation_names():
        return None
    cls = registry.find("augmentations", name)
    if not issubclass(cls, base):
        raise UserError(
            f"{place}: {name}: expected a subclass of {class_path(base)}, found {class_path(cls)}"
        )
    known = [key for key in inspect.signature(cls).parameters if key not in ("args", "kwargs")]
    if setting is True:
        setting = {}
    elif not isinstance(setting, Mapping):
        setting = {known[0]: setting} if known else {"": setting}
    for key in setting:
        if key not in known:
            found = f"found {key!r}" if key else f"found {setting[key]!r}"
            raise UserError(f"{place}: {name}: {found}, expected {', '.join(known) or 'True'}")
    try:
        return cls(**setting)
    except (TypeError, ValueError) as error:
        raise UserError(f"{place}: {name}: {' '.join(str(error).split())}") from error
