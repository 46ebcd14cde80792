"""The registry: hooks, discovery, and the classes that plugins bring. It imports no torch."""

from unitf.registry.discovery import Record
from unitf.registry.registry import (
    Registry,
    broken_summary,
    commands,
    entries_of,
    find,
    homes,
    load_file,
    modules,
    name_of,
    names,
    own_names,
    package_of,
    records,
    register,
    resolve,
    resolve_all,
    resolve_named,
)

__all__ = [
    "Record",
    "Registry",
    "broken_summary",
    "commands",
    "entries_of",
    "find",
    "homes",
    "load_file",
    "modules",
    "name_of",
    "names",
    "own_names",
    "package_of",
    "records",
    "register",
    "resolve",
    "resolve_all",
    "resolve_named",
]
