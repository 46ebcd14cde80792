"""ModelHub: a library of published models, and functions that open one of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, cast

from torch import nn

from unitf import registry
from unitf.errors import UserError, close_names, suggestion
from unitf.interop.architecture import Architecture
from unitf.registry.class_names import PlainData


class ModelHub(ABC):
    """A library of models, named as `timm:NAME` or `hf:NAME|FOLDER`; `#PART` names a tower."""

    prefix: ClassVar[str]

    @abstractmethod
    def open(self, name: str) -> nn.Module:
        """Returns the model of a name or folder with its weights, in float32 and evaluation mode.

        Raises:
            UserError: there is no such model, or its files are damaged, hold code, or have missing
                or unknown tensors.
        """

    def parts(self, published: nn.Module) -> Sequence[str]:
        """Returns the names of the towers of a model with several; each is imported alone."""
        return ()

    def part(self, published: nn.Module, name: str) -> nn.Module:
        """Returns one tower as a separate model with the same weights.

        Raises:
            UserError: there is no such tower.
        """
        raise UserError(f"{type(published).__name__} has no part {name!r}")

    @abstractmethod
    def kind(self, published: nn.Module) -> str:
        """Returns the library's name of this family of models."""

    @abstractmethod
    def recipe(self, published: nn.Module) -> dict[str, PlainData]:
        """Returns plain data from which `make` makes the same model without its weights."""

    @abstractmethod
    def make(self, recipe: dict[str, PlainData]) -> nn.Module:
        """Returns a model with random weights, made from what `recipe` returned."""

    @abstractmethod
    def save(self, published: nn.Module, folder: Path, source: str | None) -> None:
        """Writes a folder that the library can open."""

    @abstractmethod
    def cached(self) -> list[str]:
        """Returns the names of the models in the library's local cache."""


def hubs() -> dict[str, ModelHub]:
    """Returns the installed hubs by their prefixes."""
    classes = cast(list[type[ModelHub]], list(registry.resolve_all("hubs").values()))
    return {cls.prefix: cls() for cls in classes}


def find_prefix(source: str) -> str | None:
    """Returns the prefix of the hub in a source; None if the source is a file or folder."""
    prefix, colon, _ = source.partition(":")
    return prefix if colon and prefix in hubs() else None


def find_hub(source: str) -> tuple[ModelHub, str]:
    """Returns the hub and the name of `prefix:name`.

    Raises:
        UserError: no hub has this prefix.
    """
    prefix, _, name = source.partition(":")
    known = hubs()
    if prefix not in known or not name:
        raise UserError(
            f"{source!r}: expected a folder that unitf saved, or "
            f"{' or '.join(f'{known_prefix}:NAME' for known_prefix in sorted(known))}"
        )
    return known[prefix], name


def open_model(hub: ModelHub, name: str, part: str | None = None) -> nn.Module:
    """Opens the model of a name or folder, or one of its towers.

    Raises:
        UserError: there is no such model or tower, or `part` is None and the model has several.
    """
    published = hub.open(name)
    parts = hub.parts(published)
    if part is not None and part not in parts:
        known = ", ".join(parts) or "none"
        raise UserError(f"{type(published).__name__} has no part {part!r}; its parts are: {known}")
    if part is None and parts:
        named = " or ".join(f"{hub.prefix}:{name}#{one}" for one in parts)
        raise UserError(f"{type(published).__name__} has several towers: import {named}")
    return published if part is None else hub.part(published, part)


def architectures() -> list[type[Architecture]]:
    """Returns the classes of all installed architectures."""
    return cast(list[type[Architecture]], list(registry.resolve_all("architectures").values()))


def describe(hub: ModelHub, published: nn.Module, source: str | None = None) -> Architecture:
    """Returns the description of a published model in unitf.

    Raises:
        UserError: no installed architecture describes models of this kind, or the model has an
            option that unitf lacks.
    """
    kind = hub.kind(published)
    known = [cls for cls in architectures() if cls.hub == hub.prefix]
    for cls in known:
        if kind in cls.kinds:
            return cls(published, source)
    kinds = sorted(k for cls in known for k in cls.kinds)
    near = close_names(kind, kinds)
    raise UserError(
        f"{type(published).__name__} (of kind {kind!r}) is not supported"
        + (f"; {suggestion(near)}" if near else "")
        + f"; known are {', '.join(kinds) or 'none'}"
    )
