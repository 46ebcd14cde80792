"""Finds the class that a recipe names by a short name or a dotted path."""

import pkgutil
import sys
from collections.abc import Sequence

from unitf import registry
from unitf.registry import discovery
from unitf.registry.class_names import distribution_of, with_subclasses


def kinds_of(classes: Sequence[type]) -> list[str]:
    """Returns the kinds of some classes; a class of settings has none."""
    kinds = [kind for cls in classes if (kind := discovery.kind_of(cls)) is not None]
    return list(dict.fromkeys(kinds))


def present(path: str, classes: list[type], kinds: list[str]) -> type | None:
    """Returns the class that a name or a path means today; None: there is none."""
    if "." not in path:
        for kind in kinds:
            for entry in registry.entries_of(kind):
                if entry.name == path and (cls := registry.resolve(entry)) is not None:
                    return cls
        return next((cls for cls in with_subclasses(classes) if cls.__name__ == path), None)
    module = path.rpartition(".")[0]
    if distribution_of(module) is None and module not in sys.modules:
        return None
    try:
        cls = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError):
        return None
    return cls if isinstance(cls, type) else None
