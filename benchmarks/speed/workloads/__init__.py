"""All workloads, by name."""

from collections.abc import Sequence
from functools import cache
from importlib import import_module

from benchmarks.speed.workload import Workload

_MODULES = ("texts", "language", "images", "audio", "translation", "mixed", "data", "start")


@cache
def every() -> tuple[Workload, ...]:
    """Returns all workloads."""
    modules = [import_module(f"{__name__}.{module}") for module in _MODULES]
    return tuple(workload for module in modules for workload in module.WORKLOADS)


def find(name: str) -> Workload:
    """Returns the workload of exactly this name."""
    return next(workload for workload in every() if workload.name == name)


def chosen(names: Sequence[str], quick: bool) -> list[Workload]:
    """Returns the workloads that begin with one of the names (none: all); perhaps quick ones."""
    workloads = [w for w in every() if not names or w.name.startswith(tuple(names))]
    for name in names:
        if not any(w.name.startswith(name) for w in workloads):
            known = ", ".join(w.name for w in every())
            raise LookupError(f"there is no workload {name!r}; there are {known}")
    return [w for w in workloads if w.quick] if quick else workloads
