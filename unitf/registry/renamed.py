"""Public Python names of earlier versions, and what they are now. This file imports nothing.

In the `__getattr__` of a package: `raise absent(__name__, name)`.
"""

from collections.abc import Mapping

# by package: the old name and the new one, with its package where that is another
NAMES: Mapping[str, Mapping[str, str]] = {
    "unitf": {"View": "TaskBatch"},
    "unitf.data": {
        "DataModule": "unitf.training.DataModule",
        "RandomState": "unitf.training.RandomState",
    },
}


def absent(package: str, name: str, names: Mapping[str, Mapping[str, str]] = NAMES) -> Exception:
    """The error about a name that a package does not have; it says the new name of an old one."""
    new = names.get(package, {}).get(name)
    if new is None:
        return AttributeError(f"module {package!r} has no attribute {name!r}")
    return AttributeError(f"{package}.{name} is now {new if '.' in new else f'{package}.{new}'}")
