"""Modules that may learn from the data before they have parameters."""

from typing import Any

from torch import nn

from unitf.registry.configurable import Configurable


class Component(Configurable, nn.Module):
    """A module in three steps: configured (`__init__`), fitted (`fit`), built (`build`).

    The configuration comes from YAML, `fitted` from the training data (a vocabulary, the names of
    the classes, a mean), and only then is it known how large the parameters are. What was fitted
    and how it was built is part of `state_dict`, so `load_state_dict` on a fresh component does
    all three.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fitted: dict[str, Any] = {}  # plain data and tensors only: it goes into checkpoints
        self.built: dict[str, Any] | None = None
        self._has_loaded_fitted = False

    @property
    def is_fitted(self) -> bool:
        """Whether it is settled what `fit` would learn."""
        return self._has_loaded_fitted or self.built is not None

    def load_fitted(self, fitted: dict[str, Any]) -> None:
        """Takes what another one of its kind learned, instead of `fit`."""
        self.fitted = fitted
        self._has_loaded_fitted = True

    def build(self, **arguments: Any) -> None:
        """Makes the parameters, once; what was built already stays."""
        if self.built is None:
            self.make_parameters(**arguments)
            self.train(self.training)  # a new module is in training, whatever its owner is
            self.built = arguments

    def make_parameters(self, **arguments: Any) -> None:
        """Makes the submodules and parameters, from the configuration and `fitted`."""

    def get_extra_state(self) -> dict[str, Any]:
        return {"fitted": self.fitted, "built": self.built}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        if self.built is None:
            self.fitted = state["fitted"]
            if state["built"] is not None:
                self.build(**state["built"])

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        # torch restores the extra state after the parameters, which do not exist before it
        if (state := state_dict.get(f"{prefix}_extra_state")) is not None:
            self.set_extra_state(state)
        super()._load_from_state_dict(state_dict, prefix, *args)
