"""Registry: keeps what plugins register, and why some of them are broken.

This file imports no torch, and no plugin beyond its entry point: a class that is registered as
"module:Class" is imported when it is used.
"""

import pkgutil
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import cast

import pluggy

from unitf.errors import UserError, close_names, suggestion
from unitf.registry import builtin, discovery, hookspecs, importing
from unitf.registry.core_parts import CORE_PARTS
from unitf.registry.discovery import EntryPoint, Record, to_record
from unitf.registry.kinds import KINDS
from unitf.registry.plugin_errors import one_line


class Registry:
    """The classes that all plugins register, and the plugins that are broken."""

    def __init__(self) -> None:
        self.manager: pluggy.PluginManager = pluggy.PluginManager(discovery.GROUP)
        self.manager.add_hookspecs(cast(type, hookspecs.SPECIFICATIONS))
        self.discovered: bool = False
        self.entries: list[Record] = []
        self.owned: set[str] = {"unitf"}  # modules whose classes may be named in YAML
        self.files: list[str] = []  # of `--plugin`, as they were given
        self.homes: dict[str, Record] = {}  # module of an entry point → its plugin

    def discover(self) -> None:
        """Loads the classes of unitf and every installed plugin, one entry point at a time."""
        if self.discovered:  # also during discovery: a plugin may call `unitf.register`
            return
        self.discovered = True
        of_unitf = Record("unitf", "unitf", import_module("unitf").__version__)
        self.homes["unitf"] = of_unitf
        self.entries += self.call(builtin, of_unitf)
        self.entries += [
            to_record(kind, target, of_unitf, name)
            for kind, targets in CORE_PARTS.items()
            for name, target in targets.items()
        ]

        wanted, names = discovery.wanted_plugins(), set()
        for origin, point in discovery.entry_points():
            aliases = {origin.plugin, origin.package}
            names |= aliases
            if point is not None and (parts := point.pattern.match(point.value)) is not None:
                self.homes[parts["module"]] = origin
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
        """Loads one plugin; an error becomes the `reason` of its record."""
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
        """Loads a Python file as a plugin: with its hooks or, without any, the classes it defines.

        Raises:
            UserError: there is no such file, it cannot be imported or registers nothing.
        """
        origin = Record(path.stem, str(path), "")
        try:
            with redirect_stdout(sys.stderr):
                module = importing.import_file(path)
                if any(self.manager.parse_hookimpl_opts(module, name) for name in dir(module)):
                    entries = self.call(module, origin)
                else:
                    classes = discovery.classes_of(module)
                    entries = [to_record(kind, cls, origin) for kind, cls in classes]
            if not entries:
                raise UserError(discovery.silence(module))
            for entry in entries:
                if isinstance(entry.target, str) and not entry.reason:
                    entry.reason = importing.absence(*entry.target.split(":"))
                if entry.reason:
                    raise UserError(entry.reason)
        except (Exception, SystemExit) as error:
            raise UserError(f"--plugin {path}: {one_line(error)}") from error
        self.owned.add(module.__name__)
        self.files = list(dict.fromkeys([*self.files, str(path)]))
        for entry in entries:
            self.add(entry)

    def call(self, plugin: object, origin: Record) -> list[Record]:
        """Registers a plugin with pluggy and calls its hooks alone; returns what they register."""
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
        """Adds one class that a person registers.

        Raises:
            UserError: the class is broken, or its name is taken.
        """
        if entry.reason:
            raise UserError(f"{entry.owner}: {entry.reason}")
        for other in list(self.entries):
            if (other.kind, other.name) == (entry.kind, entry.name):
                if other.path != entry.path:
                    raise UserError(discovery.claim([other, entry]))
                self.entries.remove(other)  # a cell of a notebook ran again
        self.entries.append(entry)

    def resolve(self, entry: Record) -> type | None:
        """Returns the class of an entry, imported if necessary.

        Returns None for a broken entry, and sets its `reason`.
        """
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
        """Returns the class of a short name or a dotted class path.

        Raises:
            UserError: no such class is installed, or it is broken.
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
        # a checkpoint must not make us import an unknown module; an imported one is safe
        if self.owns(name) or name.rpartition(".")[0] in sys.modules:
            return discovery.class_by_path(kind, name)
        names = [entry.name for entry in entries if not entry.reason]
        matches = close_names(name.rpartition(".")[2], names)
        broken = dict.fromkeys(entry.plugin for entry in self.entries if entry.reason)
        raise UserError(
            f"no {one} is called {name!r}"
            + self._unregistered(kind, name)
            + (f"; {suggestion(matches)}" if matches else "")
            + f"; installed: {', '.join(sorted(names)) or 'none'}"
            + (f"; broken plugins: {', '.join(broken)}" if broken else "")
        )

    def _unregistered(self, kind: str, name: str) -> str:
        """Returns which `--plugin` file defines a class of this name without registering it."""
        for file in self.files:
            cls = getattr(sys.modules.get(Path(file).stem), name, None)
            if discovery.kind_of(cls) == kind:
                return f"; {file} defines {name}, but its hooks do not register it"
        return ""

    def modules(self) -> set[str]:
        """Returns the modules of unitf and of loaded plugins."""
        paths = [entry.path for entry in self.entries if entry.path and not entry.reason]
        return self.owned | {path.rpartition(".")[0] for path in paths}

    def owns(self, path: str) -> bool:
        """Returns whether a dotted path lies in a module of unitf or of a loaded plugin."""
        return any(path.startswith(f"{module}.") for module in self.modules())


def _register_into(entries: list[Record], kind: str, origin: Record) -> hookspecs.Register:
    """Returns the function `register` for a hook of this kind; it adds records to `entries`."""

    def register(target: object, name: str | None = None, help: str = "") -> None:
        entry = to_record(kind, target, origin, name, help)
        if isinstance(target, type) and discovery.kind_of(target) != kind:
            entry.reason = f"register_{kind}: {entry.reason}"
        entries.append(entry)

    return register
