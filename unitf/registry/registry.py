"""The registry: keeps what plugins bring and says what is wrong with the broken ones.

This file imports no torch, and no plugin beyond its entry point: a class that is registered as
"module:Class" is imported when it is used.
"""

import os
import pkgutil
import sys
import warnings
from collections.abc import Collection, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

import pluggy

from unitf.errors import UserError, close_names
from unitf.registry import builtin, discovery, hookspecs
from unitf.registry.core_parts import CORE_PARTS
from unitf.registry.discovery import EntryPoint, Record, class_path, to_record
from unitf.registry.kinds import KINDS
from unitf.registry.plugin_errors import one_line

AnyClass = TypeVar("AnyClass", bound=type)


class Registry:
    """What all plugins bring, and which of them are broken."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(discovery.GROUP)
        self.manager.add_hookspecs(cast(Any, hookspecs.SPECIFICATIONS))
        self.discovered = False
        self.entries: list[Record] = []
        self.owned: set[str] = {"unitf"}  # modules whose classes may be named in YAML
        self.homes: dict[str, Record] = {}  # by the module of an entry point: whose it is

    def discover(self) -> None:
        """Loads unitf's own classes and every installed plugin, one entry point at a time."""
        if self.discovered:  # also while it goes on: a plugin may call `unitf.register`
            return
        self.discovered = True
        own = Record("unitf", "unitf", import_module("unitf").__version__)
        self.homes["unitf"] = own
        self.entries += self.call(builtin, own)
        self.entries += [
            to_record(kind, target, own, name)
            for kind, parts in CORE_PARTS.items()
            for name, target in parts.items()
        ]

        wanted, names = discovery.wanted_plugins(), set()
        for origin, point in discovery.entry_points():
            aliases = {origin.plugin, origin.package}
            names |= aliases
            if point is not None and point.pattern.match(point.value) is not None:
                self.homes[point.module] = origin
            if wanted is not None and not wanted & aliases:
                continue
            if point is None:
                self.entries.append(origin)
            else:
                self.load(origin, point)
        for name in sorted((wanted or set()) - names):
            reason = f"UNITF_PLUGINS names it; installed: {', '.join(sorted(names))}"
            self.entries.append(Record(name, "not installed", "", reason=reason))
        discovery.mark_claims(self.entries)

    def load(self, origin: Record, point: EntryPoint) -> None:
        """Loads one plugin; whatever goes wrong becomes the reason of its record."""
        try:
            if (parts := point.pattern.match(point.value)) is None:
                raise UserError(f"its entry point names no module: {point.value!r}")
            with redirect_stdout(sys.stderr):  # a plugin that prints must not spoil --json
                entries = self.call(point.load(), origin)
        except (Exception, SystemExit) as error:
            self.entries.append(replace(origin, reason=one_line(error)))
        else:
            self.entries += entries
            self.owned.add(parts["module"])

    def load_file(self, path: Path) -> None:
        """Loads a Python file as a plugin: by its hooks or, without any, the classes it defines.

        Raises:
            UserError: there is no such file, it cannot be imported or brings nothing.
        """
        origin = Record(path.stem, str(path), "")
        try:
            with redirect_stdout(sys.stderr):
                module = discovery.import_file(path)
                if any(self.manager.parse_hookimpl_opts(module, name) for name in dir(module)):
                    entries = self.call(module, origin)
                else:
                    entries = [to_record(*found, origin) for found in discovery.classes_of(module)]
            if not entries:
                raise UserError(discovery.silence(module))
        except (Exception, SystemExit) as error:
            raise UserError(f"--plugin {path}: {one_line(error)}") from error
        self.owned.add(module.__name__)
        for entry in entries:
            self.add(entry)

    def call(self, plugin: Any, origin: Record) -> list[Record]:
        """Registers a plugin with pluggy and asks its hooks, and no other's, what it brings."""
        api = getattr(plugin, "unitf_api", hookspecs.API_VERSION)
        if api != hookspecs.API_VERSION:
            raise UserError(
                f"made for version {api} of the plugin API, this unitf has {hookspecs.API_VERSION}"
            )
        if (name := self.manager.get_name(plugin)) is not None:
            raise UserError(f"the same module is registered already, as {name}")
        plugin = discovery.visible(plugin)
        entries: list[Record] = []
        try:
            self.manager.register(plugin, f"{origin.package}:{origin.plugin}")
            self.manager.check_pending()
            others = [other for other in self.manager.get_plugins() if other is not plugin]
            for kind in KINDS:
                self.manager.subset_hook_caller(f"register_{kind}", others)(
                    register=_register_into(entries, kind, origin)
                )
            if not entries:
                raise UserError(discovery.silence(plugin))
        except BaseException:
            if self.manager.is_registered(plugin):
                self.manager.unregister(plugin)
            raise
        return entries

    def add(self, entry: Record) -> None:
        """Adds one class by the wish of a person, to whom anything wrong with it is raised."""
        if entry.reason:
            raise UserError(f"{entry.owner}: {entry.reason}")
        for other in list(self.entries):
            if (other.kind, other.name) == (entry.kind, entry.name):
                if other.path != entry.path:
                    raise UserError(discovery.claim([other, entry]))
                self.entries.remove(other)  # a notebook's cell that ran again
        self.entries.append(entry)

    def resolve(self, entry: Record) -> type | None:
        """The class of an entry, imported if need be; None, and a reason, if it is broken."""
        target = entry.target
        if not entry.reason and isinstance(target, str):
            try:
                target = pkgutil.resolve_name(target)
            except (Exception, SystemExit) as error:
                entry.reason = one_line(error)
            else:
                entry.reason, entry.target = discovery.fault(entry.kind, target), target
        return target if isinstance(target, type) and not entry.reason else None

    def find(self, kind: str, name: str) -> type:
        """The class of a short name or a dotted class path.

        Raises:
            UserError: nothing of that name is installed, or it is broken.
        """
        one = KINDS[kind].one
        entries = [entry for entry in self.entries if entry.kind == kind]
        for entry in entries:
            if name in (entry.name, entry.path):
                if (cls := self.resolve(entry)) is not None:
                    return cls
                if name == entry.name:
                    reason = f"{one} {name} of {entry.owner} is broken: {entry.reason}"
                    raise UserError(reason)
        # what a checkpoint names must not import a stranger's module; one that is here already may
        if self.owns(name) or name.rpartition(".")[0] in sys.modules:
            return discovery.class_by_path(kind, name)
        names = [entry.name for entry in entries if not entry.reason]
        near = close_names(name.rpartition(".")[2], names)
        broken = dict.fromkeys(entry.plugin for entry in self.entries if entry.reason)
        raise UserError(
            f"no {one} is called {name!r}"
            + (f"; near: {', '.join(near)}" if near else "")
            + f"; installed: {', '.join(sorted(names)) or 'none'}"
            + (f"; broken plugins: {', '.join(broken)}" if broken else "")
        )

    def modules(self) -> set[str]:
        """The modules of unitf and of plugins that could be loaded."""
        paths = [entry.path for entry in self.entries if entry.path and not entry.reason]
        return self.owned | {path.rpartition(".")[0] for path in paths}

    def owns(self, path: str) -> bool:
        """Whether a dotted path lies in one of these modules."""
        return any(path.startswith(f"{module}.") for module in self.modules())


def _register_into(entries: list[Record], kind: str, origin: Record) -> hookspecs.Register:
    """What a hook of this kind is called with: it adds records to `entries`."""

    def register(target: Any, name: str | None = None, help: str = "") -> None:
        entries.append(to_record(kind, target, origin, name, help))

    return register


@cache
def _registry() -> Registry:
    return Registry()


def _installed() -> Registry:
    registry = _registry()
    registry.discover()
    return registry


def records() -> list[Record]:
    """Everything that plugins bring, and the broken ones; imports no class."""
    entries = _installed().entries
    for entry in entries:
        if isinstance(entry.target, str) and not entry.reason and entry.package != "unitf":
            entry.reason = discovery.absence(*entry.target.split(":"))
    return entries


def resolve_all(kind: str) -> dict[str, type]:
    """The classes of a kind (one of `KINDS`) by short name; broken ones are left out.

    A class that turns out to be broken only now, when it is imported, is warned of.
    """
    return _resolve([entry for entry in _installed().entries if entry.kind == kind])


def resolve_named(kinds: Collection[str], names: Collection[str]) -> dict[str, type]:
    """The classes of these kinds that have one of these short names, imported if need be.

    Others of their kinds are not imported. A broken one is warned of and left out.
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
    """The class of a kind, by its short name or class path; a UserError lists what is installed."""
    if (target := CORE_PARTS.get(kind, {}).get(name)) is not None:  # ours: no need to look around
        return pkgutil.resolve_name(target)
    return _installed().find(kind, name)


def names(kind: str) -> dict[str, str]:
    """The short names of a kind, each with the reason why it is broken, or none."""
    return {entry.name: entry.reason for entry in _installed().entries if entry.kind == kind}


def own_names(kind: str) -> Iterable[str]:
    """The short names of the parts of a core that unitf itself brings."""
    return CORE_PARTS.get(kind, {})


def package_of(kind: str, name: str) -> str:
    """The package, or the file, that brings what is registered under a short name, or ""."""
    registered = (e for e in _installed().entries if (e.kind, e.name) == (kind, name))
    return next((Path(entry.package).name for entry in registered), "")


def name_of(kind: str, cls: type) -> str:
    """The short name under which a class is registered; its path, if it is not."""
    path = class_path(cls)
    for name, target in CORE_PARTS.get(kind, {}).items():
        if target.replace(":", ".") == path:
            return name
    registered = (e for e in _installed().entries if e.kind == kind and not e.reason)
    return next((entry.name for entry in registered if entry.path == path), path)


def commands(taken: Collection[str] = (), quick: bool = False) -> list[Record]:
    """The verbs that plugins bring, by their names; imports none of their classes.

    Args:
        taken: names of unitf's own verbs. A command of such a name is broken from now on.
        quick: whether to load no plugin where only unitf's own seem to be installed.
    """
    if quick and not _registry().discovered and not discovery.has_strangers():
        return []  # unitf's own plugins bring none
    found = [entry for entry in _installed().entries if entry.kind == "commands"]
    for entry in found:
        if entry.name in taken and not entry.reason:
            entry.reason = f"the name {entry.name} is a verb of unitf itself"
    return sorted((e for e in found if not e.reason), key=lambda entry: entry.name)


def modules() -> set[str]:
    """The modules of unitf and of plugins, whose classes a YAML or a checkpoint may name."""
    return _installed().modules()


def homes() -> dict[str, Record]:
    """Of which distribution a module is, for each module that an entry point names."""
    return _installed().homes


def entries_of(kind: str) -> list[Record]:
    """What is registered as this kind; imports nothing."""
    return [entry for entry in _installed().entries if entry.kind == kind]


def resolve(entry: Record) -> type | None:
    """The class of an entry, imported if need be; None, and a reason, if it is broken.

    Another package's claim to its name does not matter here.
    """
    if entry.claimed:
        entry = replace(entry, reason="", claimed=False)
    return _installed().resolve(entry)


def load_file(path: str | os.PathLike[str]) -> None:
    """Loads a Python file as a plugin: for what is not packaged yet."""
    _installed().load_file(Path(path))


def register(cls: AnyClass) -> AnyClass:
    """Registers a class of any kind (a Tokenizer, a Task, a Callback) of a notebook or script.

    It also serves as a decorator.

    Raises:
        UserError: it is of no kind that a plugin can bring, or its name is taken.
    """
    kind = discovery.kind_of(cls)
    if kind is None:
        kinds = ", ".join(row.one for row in KINDS.values())
        raise UserError(f"register: expected a class of one of {kinds}; found {cls!r:.80}")
    _installed().add(to_record(kind, cls, Record(cls.__module__, "this session", "")))
    return cls


def broken_summary() -> str | None:
    """One line that names the broken plugins, if there are any."""
    broken = [entry for entry in records() if entry.reason]
    return _summary(broken) if broken else None


def _summary(broken: list[Record]) -> str:
    names = dict.fromkeys(f"{entry.name or entry.plugin} ({entry.owner})" for entry in broken)
    return f"left out because broken: {', '.join(names)}; `unitf plugins list` says why"
