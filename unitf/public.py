"""Public names of a package: imported when they are used, and what they were called before.

This file imports nothing of unitf, so that `import unitf` stays quick.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

# by package: the old name and the new one, with its package where that is another
NAMES: Mapping[str, Mapping[str, str]] = {
    "unitf": {"View": "TaskBatch"},
    "unitf.data": {
        "DataModule": "unitf.training.DataModule",
        "RandomState": "unitf.training.RandomState",
    },
    "unitf.interop": {
        "Hub": "ModelHub",
        "Line": "WeightMapping",
        "Trial": "DummyInputs",
        "each": "map_blocks",
        "joined": "map_joined",
        "line": "map_weight",
        "unused": "ignore_weights",
    },
}


def lazily(
    package: str, homes: Mapping[str, str], names: Sequence[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Returns the `__getattr__` and the `__dir__` of a package (PEP 562).

    Args:
        package: the name of the package.
        homes: the module of each public name.
        names: what `__dir__` lists.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise absent(package, name)
        return getattr(import_module(homes[name]), name)

    return get, lambda: list(names)


def absent(package: str, name: str, names: Mapping[str, Mapping[str, str]] = NAMES) -> Exception:
    """Returns the error about a name that a package lacks; it says the new name of an old one."""
    new = names.get(package, {}).get(name)
    if new is None:
        return AttributeError(f"module {package!r} has no attribute {name!r}")
    return AttributeError(f"{package}.{name} is now {new if '.' in new else f'{package}.{new}'}")
