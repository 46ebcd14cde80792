"""The public names of a package: they are imported when used, and old names say the new one.

This module imports nothing of unitf, so that `import unitf` stays fast.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

# package → old name → new name, which includes its package where that is another one
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
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Returns the functions `__getattr__` and `__dir__` of a package (PEP 562).

    Args:
        package: the name of the package.
        homes: the module that defines each public name.
        names: the names that `__dir__` lists.
    """

    def get(name: str) -> object:
        if name not in homes:
            raise absent(package, name)
        return getattr(import_module(homes[name]), name)

    return get, lambda: list(names)


def absent(package: str, name: str, names: Mapping[str, Mapping[str, str]] = NAMES) -> Exception:
    """Returns the error for a name that a package lacks; for an old name it says the new one."""
    new = names.get(package, {}).get(name)
    if new is None:
        return AttributeError(f"module {package!r} has no attribute {name!r}")
    return AttributeError(f"{package}.{name} is now {new if '.' in new else f'{package}.{new}'}")
