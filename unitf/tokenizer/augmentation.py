"""Augmentation: a random change of training values, which a plugin can add."""

import inspect
from collections.abc import Mapping
from typing import ClassVar, TypeVar, cast

from unitf import registry
from unitf.errors import UserError
from unitf.registry.configurable import Configurable
from unitf.registry.discovery import class_path

AugmentationClass = TypeVar("AugmentationClass", bound="Augmentation")


class Augmentation(Configurable):
    """A random change of a training value, which a recipe names in a tokenizer's arguments.

    Each modality has a subclass that declares the method and the type of its value:
    `unitf_image.ImageAugmentation` changes pixels, `unitf_audio.SoundAugmentation` a waveform and
    `unitf_audio.SpectrumAugmentation` a spectrogram. A plugin's class is a subclass of one of
    these, so that it cannot be named for values of another modality.

    An augmentation draws from the global generators of Python, NumPy or torch. The data loader
    seeds them for each sample. The arguments of the constructor are plain data, because a
    checkpoint keeps them.
    """

    # whether objects in the value are moved or cut off, so that boxes around them would be wrong
    moves: ClassVar[bool] = True


def augmentation_names() -> list[str]:
    """Returns the short names of all registered augmentations, of every modality."""
    return list(registry.names("augmentations"))


def registered_augmentation(
    base: type[AugmentationClass], name: str, setting: object, argument: str = "augment"
) -> AugmentationClass | None:
    """Makes the augmentation that a recipe names by the short name of a registered class.

    Args:
        base: the subclass of `Augmentation` that is required.
        name: the short name.
        setting: the arguments of the constructor by name, or its first argument alone, or True for
            no arguments.
        argument: the beginning of an error message: the argument that the recipe sets.

    Returns:
        None if no plugin has registered a class of this name.

    Raises:
        UserError: the class changes values of another modality, or does not take the arguments.
    """
    if name not in augmentation_names():
        return None
    cls: type = registry.find("augmentations", name)
    if not issubclass(cls, base):
        expected, actual = class_path(base), class_path(cast(type[object], cls))
        raise UserError(f"{argument}: {name}: expected a subclass of {expected}, found {actual}")
    known = [key for key in inspect.signature(cls).parameters if key not in ("args", "kwargs")]
    arguments: Mapping[str, object]
    if setting is True:
        arguments = {}
    elif isinstance(setting, Mapping):
        arguments = cast(Mapping[str, object], setting)
    else:
        arguments = {known[0] if known else "": setting}
    for key, value in arguments.items():
        if key not in known:
            unexpected = repr(key) if key else repr(value)
            raise UserError(
                f"{argument}: {name}: found {unexpected}, expected {', '.join(known) or 'True'}"
            )
    try:
        return cls(**arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"{argument}: {name}: {' '.join(str(error).split())}") from error
