"""The registry: hooks, discovery, and the classes that plugins bring. It imports no torch."""

from unitf.registry.discovery import Record
from unitf.registry.registry import (
    Registry,
    broken_summary,
    find,
    load_file,
    modules,
    records,
    register,
    resolve_all,
)

__all__ = [
    "Record",
    "Registry",
    "broken_summary",
    "find",
    "load_file",
    "modules",
    "records",
    "register",
    "resolve_all",
]
