"""The registry: the hooks and the discovery of plugins, and their classes. It imports no torch."""

from unitf.registry.discovery import Record
from unitf.registry.plugin_registry import Registry
from unitf.registry.registry import (
    broken_summary,
    commands,
    entries_of,
    find,
    homes,
    invocation,
    load_file,
    modules,
    name_of,
    names,
    own_names,
    package_of,
    plugin_files,
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
    "invocation",
    "load_file",
    "modules",
    "name_of",
    "names",
    "own_names",
    "package_of",
    "plugin_files",
    "records",
    "register",
    "resolve",
    "resolve_all",
    "resolve_named",
]
