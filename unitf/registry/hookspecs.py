"""The hooks that a plugin can implement: one for each kind of class.

This file imports no torch.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Protocol, runtime_checkable

import pluggy

from unitf.registry.kinds import KINDS, Kind

API_VERSION: int = 1  # a plugin with `unitf_api = 1` is refused by a unitf of another version
hookspec: pluggy.HookspecMarker = pluggy.HookspecMarker("unitf")
hookimpl: pluggy.HookimplMarker = pluggy.HookimplMarker("unitf")
"""A decorator: it marks a function of a plugin as one of the hooks (see the page Plugins)."""


@runtime_checkable
class Register(Protocol):
    """The function `register` that each hook receives."""

    def __call__(self, target: object, name: str | None = None, help: str = "") -> None:
        """Registers one class.

        Args:
            target: the class; or "package.module:Class", which is imported when it is used.
            name: the name in recipes; by default the name of the class.
            help: one line about the class; `unitf --help` shows that of a command.
        """


def _specification(kind: str, row: Kind) -> Callable[[Register], None]:
    def hook(register: Register) -> None: ...

    hook.__name__ = hook.__qualname__ = f"register_{kind}"
    hook.__doc__ = f"Call `register(cls)` for each {row.one} of the plugin ({row.bases[0]})."
    return hookspec(hook)


SPECIFICATIONS: ModuleType = ModuleType(
    "unitf.registry.hookspecs.specifications"
)  # where pluggy looks for them
vars(SPECIFICATIONS).update(
    {f"register_{kind}": _specification(kind, row) for kind, row in KINDS.items()}
)
