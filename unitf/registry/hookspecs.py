"""The hooks of a plugin, one line each. This file imports no torch."""

from collections.abc import Callable

import pluggy

API_VERSION = 1  # a plugin may say `unitf_api = 1` to be told when it is too old or too new
hookspec = pluggy.HookspecMarker("unitf")
hookimpl = pluggy.HookimplMarker("unitf")
"""A decorator that marks a function of a plugin as one of the hooks below."""

# A class, or "package.module:Class", which is imported only when it is used.
Register = Callable[..., None]


@hookspec
def register_tokenizers(register: Register) -> None:
    """Call `register(cls)` for each `unitf.Tokenizer` of the plugin."""


@hookspec
def register_tasks(register: Register) -> None:
    """Call `register(cls)` for each `unitf.Task` of the plugin."""


@hookspec
def register_sources(register: Register) -> None:
    """Call `register(cls)` for each `unitf.Source` of samples of the plugin."""


@hookspec
def register_hubs(register: Register) -> None:
    """Call `register(cls)` for each `unitf.interop.Hub` of published models of the plugin."""


@hookspec
def register_architectures(register: Register) -> None:
    """Call `register(cls)` for each `unitf.interop.Architecture` of the plugin."""


@hookspec
def register_norms(register: Register) -> None:
    """Call `register(cls)` for each `unitf.core.Norm` of the plugin; `name="rms"` renames it."""


@hookspec
def register_activations(register: Register) -> None:
    """Call `register(cls)` for each `unitf.core.Activation` of the plugin, as for norms."""


@hookspec
def register_feedforwards(register: Register) -> None:
    """Call `register(cls)` for each `unitf.core.FeedForward` of the plugin, as for norms."""


@hookspec
def register_relative_positions(register: Register) -> None:
    """Call `register(cls)` for each `unitf.core.RelativePositions` of the plugin, as for norms."""
