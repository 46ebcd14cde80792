"""The registry of this process: look up, list and register the classes of plugins.

This file imports no torch.
"""

import os
import pkgutil
import shlex
import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TypeVar

from unitf.errors import UserError
from unitf.registry import discovery, importing
from unitf.registry.core_parts import CORE_PARTS
from unitf.registry.discovery import Record, class_path, to_record
from unitf.registry.kinds import KINDS
from unitf.registry.plugin_registry import Registry

AnyClass = TypeVar("AnyClass", bound=type)


@cache
def _registry() -> Registry:
    return Registry()


def _installed() -> Registry:
    registry = _registry()
    registry.discover()
    return registry


def records() -> list[Record]:
    """Returns all registered classes and all broken plugins; imports no class."""
    entries = _installed().entries
    for entry in entries:
        if isinstance(entry.target, str) and not entry.reason and entry.package != "unitf":
            entry.reason = importing.absence(*entry.target.split(":"))
    return entries


def resolve_all(kind: str) -> dict[str, type]:
    """Returns the classes of a kind (one of `KINDS`) by short name, without broken ones.

    It warns of classes that turn out to be broken when they are imported.
    """
    return _resolve([entry for entry in _installed().entries if entry.kind == kind])


def resolve_named(kinds: Collection[str], names: Collection[str]) -> dict[str, type]:
    """Returns the classes of these kinds with one of these short names, imported if necessary.

    Other classes of these kinds are not imported. It warns of broken ones and leaves them out.
    """
    entries = _installed().entries
    return _resolve([entry for entry in entries if entry.kind in kinds and entry.name in names])


def _resolve(entries: Sequence[Record]) -> dict[str, type]:
    registry = _installed()
    entries = [entry for entry in entries if not entry.reason]
    classes = {e.name: cls for e in entries if (cls := registry.resolve(e)) is not None}
    if broken := [entry for entry in entries if entry.reason]:
        warnings.warn(_summary(broken), stacklevel=2)
    return classes


def find(kind: str, name: str) -> type:
    """Returns the class of a kind by its short name or its class path.

    Raises:
        UserError: there is none; the message lists the installed ones.
    """
    if (target := CORE_PARTS.get(kind, {}).get(name)) is not None:  # no plugin needs to be loaded
        return pkgutil.resolve_name(target)
    return _installed().find(kind, name)


def names(kind: str) -> dict[str, str]:
    """Returns the short names of a kind, each with the reason why it is broken (or "")."""
    return {entry.name: entry.reason for entry in _installed().entries if entry.kind == kind}


def own_names(kind: str) -> Iterable[str]:
    """Returns the short names of the core parts of this kind that unitf itself has."""
    return CORE_PARTS.get(kind, {})


def package_of(kind: str, name: str) -> str:
    """Returns the package or the file that registered a short name, or ""."""
    registered = (e for e in _installed().entries if (e.kind, e.name) == (kind, name))
    return next((Path(entry.package).name for entry in registered), "")


def name_of(kind: str, cls: type) -> str:
    """Returns the short name of a registered class; the path of any other class."""
    path = class_path(cls)
    for name, target in CORE_PARTS.get(kind, {}).items():
        if target.replace(":", ".") == path:
            return name
    registered = (e for e in _installed().entries if e.kind == kind and not e.reason)
    return next((entry.name for entry in registered if entry.path == path), path)


def commands(taken: Collection[str] = (), quick: bool = False) -> list[Record]:
    """Returns the commands of plugins, sorted by name; imports none of their classes.

    Args:
        taken: names of the verbs of unitf. A command of such a name is marked as broken.
        quick: load no plugin if only those of unitf seem to be installed.
    """
    if quick and not _registry().discovered and not discovery.has_strangers():
        return []  # the plugins of unitf have no commands
    entries = [entry for entry in _installed().entries if entry.kind == "commands"]
    for entry in entries:
        if entry.name in taken and not entry.reason:
            entry.reason = f"the name {entry.name} is a verb of unitf itself"
    return sorted((e for e in entries if not e.reason), key=lambda entry: entry.name)


def modules() -> set[str]:
    """Returns the modules of unitf and of plugins; YAML and checkpoints may name their classes."""
    return _installed().modules()


def homes() -> dict[str, Record]:
    """Returns the plugin of each module that an entry point names."""
    return _installed().homes


def entries_of(kind: str) -> list[Record]:
    """Returns the records of this kind; imports nothing."""
    return [entry for entry in _installed().entries if entry.kind == kind]


def resolve(entry: Record) -> type | None:
    """Returns the class of an entry, imported if necessary; None if it is broken.

    An entry whose name another package also uses is not broken here.
    """
    if entry.claimed:
        entry = replace(entry, reason="", claimed=False)
    return _installed().resolve(entry)


def load_file(path: str | os.PathLike[str]) -> None:
    """Loads a Python file as a plugin that is not packaged yet.

    Raises:
        UserError: there is no such file, it cannot be imported or registers nothing.
    """
    _installed().load_file(Path(path))


def invocation() -> str:
    """Returns how a person calls `unitf` so that it has the `--plugin` files of this process."""
    return " ".join(["unitf", *(f"--plugin {shlex.quote(file)}" for file in _registry().files)])


def plugin_files() -> list[str]:
    """Returns the `--plugin` files of this process."""
    return list(_registry().files)


def register(cls: AnyClass) -> AnyClass:
    """Registers a class (a Tokenizer, a Task, a Callback, …) that a notebook or script defines.

    It can be used as a decorator.

    Raises:
        UserError: a plugin cannot register such a class, or its name is taken.
    """
    kind = discovery.kind_of(cls)
    if kind is None:
        kinds = ", ".join(row.one for row in KINDS.values())
        raise UserError(f"register: expected a class of one of {kinds}; found {cls!r:.80}")
    _installed().add(to_record(kind, cls, Record(cls.__module__, "this session", "")))
    return cls


def broken_summary() -> str | None:
    """Returns one line that names the broken plugins, or None."""
    broken = [entry for entry in records() if entry.reason]
    return _summary(broken) if broken else None


def _summary(broken: list[Record]) -> str:
    names = dict.fromkeys(f"{entry.name or entry.plugin} ({entry.owner})" for entry in broken)
    return f"left out because broken: {', '.join(names)}; `unitf plugins list` says why"
