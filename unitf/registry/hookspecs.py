"""The hooks of a plugin: one for each kind of class. This file imports no torch."""

from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import pluggy

from unitf.registry.kinds import KINDS, Kind

API_VERSION = 1  # a plugin may say `unitf_api = 1` to be told when it is too old or too new
hookspec = pluggy.HookspecMarker("unitf")
hookimpl = pluggy.HookimplMarker("unitf")
"""A decorator that marks a function of a plugin as one of the hooks below."""


@runtime_checkable
class Register(Protocol):
    """What a hook is called with."""

    def __call__(self, target: Any, name: str | None = None, help: str = "") -> None:
        """Registers one class.

        Args:
            target: the class, or "package.module:Class", which is imported when it is used.
            name: how recipes call it; by default the name of the class.
            help: one line about it; `unitf --help` shows that of a command.
        """


def _specification(kind: str, row: Kind) -> Any:
    def hook(register: Register) -> None: ...

    hook.__name__ = hook.__qualname__ = f"register_{kind}"
    hook.__doc__ = f"Call `register(cls)` for each {row.one} of the plugin ({row.bases[0]})."
    return hookspec(hook)


SPECIFICATIONS = ModuleType(
    "unitf.registry.hookspecs.specifications"
)  # where pluggy looks for them
vars(SPECIFICATIONS).update(
    {f"register_{kind}": _specification(kind, row) for kind, row in KINDS.items()}
)
