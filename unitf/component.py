"""Component: a module that may learn from the training data before it has parameters."""

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Protocol, TypeAlias, TypedDict, TypeVar, cast, runtime_checkable

from torch import nn

from unitf.registry.configurable import Configurable

# Text, numbers, lists and dictionaries by name; in a checkpoint also tensors.
PlainData: TypeAlias = dict[str, Any]
Part = TypeVar("Part", covariant=True)


class ComponentState(TypedDict):
    """The part of a component's `state_dict` that is not a parameter.

    Args:
        fitted: what the component learned from the training data.
        built: the arguments of `build`; None before it was called.
    """

    fitted: PlainData
    built: PlainData | None


@runtime_checkable
class NamedParts(Protocol[Part]):
    """Tokenizers or tasks by name: a dictionary or an `nn.ModuleDict` of them."""

    def __getitem__(self, key: str, /) -> Part: ...
    def __contains__(self, key: str, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def keys(self) -> KeysView[str]: ...
    def values(self) -> ValuesView[Part]: ...
    def items(self) -> ItemsView[str, Part]: ...


class Component(Configurable, nn.Module):
    """A module in three steps: configured (`__init__`), fitted (`fit`), built (`build`).

    The configuration comes from YAML. `fitted` comes from the training data (a vocabulary, the
    names of the classes, a mean). Only then are the sizes of the parameters known. `state_dict`
    holds `fitted` and the arguments of `build`, so that `load_state_dict` on a fresh component
    restores all three steps.
    """

    searched: Mapping[str, object] = {}
    """What `unitf search` tries of the arguments, as a file of a space has it."""

    def __init__(self) -> None:
        super().__init__()
        self.fitted: PlainData = {}
        """What `fit` learned: plain data and tensors only, because it goes into checkpoints."""
        self.built: PlainData | None = None
        self._has_loaded_fitted: bool = False

    @property
    def is_fitted(self) -> bool:
        """Whether what `fit` would learn is known already."""
        return self._has_loaded_fitted or self.built is not None

    def load_fitted(self, fitted: PlainData) -> None:
        """Takes over what another component of the same kind learned, instead of `fit`."""
        self.fitted = fitted
        self._has_loaded_fitted = True

    def build(self, **arguments: object) -> None:
        """Makes the parameters, unless they exist already.

        Args:
            arguments: the arguments of `make_parameters`.
        """
        if self.built is None:
            self.make_parameters(**arguments)
            self.train(self.training)  # a new module is in training mode, whatever its owner is
            self.built = arguments

    def make_parameters(self, **arguments: Any) -> None:
        """Makes the submodules and parameters, from the configuration and `fitted`.

        Args:
            arguments: what a subclass declares: sizes that other components know.
        """

    def get_extra_state(self) -> ComponentState:
        """Returns what `state_dict` holds beside the parameters."""
        return {"fitted": self.fitted, "built": self.built}

    def set_extra_state(self, state: ComponentState) -> None:
        """Restores `fitted` and makes the parameters, unless they exist already."""
        if self.built is None:
            self.fitted = state["fitted"]
            if state["built"] is not None:
                self.build(**state["built"])

    def _load_from_state_dict(self, state_dict: PlainData, prefix: str, *args: object) -> None:
        # torch restores the extra state after the parameters, which do not exist before it
        if (state := state_dict.get(f"{prefix}_extra_state")) is not None:
            self.set_extra_state(cast(ComponentState, state))
        super()._load_from_state_dict(state_dict, prefix, *args)
