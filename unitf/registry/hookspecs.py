"""The hooks of a plugin, one line each. This file imports no torch."""

from collections.abc import Callable
from typing import Any

import pluggy

API_VERSION = 1  # a plugin may say `unitf_api = 1` to be told when it is too old or too new
hookspec = pluggy.HookspecMarker("unitf")
hookimpl = pluggy.HookimplMarker("unitf")
"""A decorator that marks a function of a plugin as one of the hooks below."""

# A class, or "package.module:Class", which is imported only when it is used.
Register = Callable[[Any], None]


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
