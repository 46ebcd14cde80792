"""Hub: a library that keeps published models, and how one of them is opened."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from unitf import registry
from unitf.errors import UserError, close_names
from unitf.interop.architecture import Architecture


class ModelHub(ABC):
    """A library of models, as `timm:NAME` or `hf:NAME|FOLDER` name it; `#PART` names a tower."""

    prefix: ClassVar[str]

    @abstractmethod
    def open(self, name: str) -> nn.Module:
        """The model of a name or local folder, with its weights, in float32, in evaluation mode.

        Raises:
            UserError: there is none, its files are damaged, hold code, lack tensors or have others.
        """

    def parts(self, published: nn.Module) -> Sequence[str]:
        """The names of the towers of a model that has several, each of which is imported alone."""
        return ()

    def part(self, published: nn.Module, name: str) -> nn.Module:
        """One of the towers, as a model of its own with the same weights."""
        raise UserError(f"{type(published).__name__} has no part {name!r}")

    @abstractmethod
    def kind(self, published: nn.Module) -> str:
        """What the library calls this family of models."""

    @abstractmethod
    def recipe(self, published: nn.Module) -> dict[str, Any]:
        """What `make` needs to make an equal model without weights, as plain data."""

    @abstractmethod
    def make(self, recipe: dict[str, Any]) -> nn.Module:
        """A model with random weights."""

    @abstractmethod
    def save(self, published: nn.Module, folder: Path, source: str | None) -> None:
        """Writes what the library opens again."""

    @abstractmethod
    def cached(self) -> list[str]:
        """The names of the models that lie in the library's local cache."""


def hubs() -> dict[str, ModelHub]:
    """The installed hubs by their prefix."""
    return {cls.prefix: cls() for cls in registry.resolve_all("hubs").values()}  # type: ignore


def find_prefix(source: str) -> str | None:
    """The hub's prefix in a source; None: the source is a file or folder."""
    prefix, colon, _ = source.partition(":")
    return prefix if colon and prefix in hubs() else None


def find_hub(source: str) -> tuple[ModelHub, str]:
    """The hub of `prefix:name`, and the name.

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
    """The model of a name or folder, or one of its towers.

    Raises:
        UserError: there is none, or it has several towers of which none was named.
    """
    published = hub.open(name)
    parts = hub.parts(published)
    if part is not None and part not in parts:
        found = ", ".join(parts) or "none"
        raise UserError(f"{type(published).__name__} has no part {part!r}; its parts are: {found}")
    if part is None and parts:
        named = " or ".join(f"{hub.prefix}:{name}#{one}" for one in parts)
        raise UserError(f"{type(published).__name__} has several towers: import {named}")
    return published if part is None else hub.part(published, part)


def architectures() -> list[type[Architecture]]:
    """The classes of all installed architectures."""
    return list(registry.resolve_all("architectures").values())  # type: ignore[arg-type]


def describe(hub: ModelHub, published: nn.Module, source: str | None = None) -> Architecture:
    """How a peer is said in unitf.

    Raises:
        UserError: no installed architecture is of its kind, or the peer has an option that unitf
            lacks.
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
        + (f"; near: {', '.join(near)}" if near else "")
        + f"; known are {', '.join(kinds) or 'none'}"
    )
