"""The registry: finds plugins, keeps what they bring and says what is wrong with the broken ones.

This file imports no torch, and no plugin beyond its entry point: classes that are registered as
"module:Class" are imported when they are used.
"""

import ast
import difflib
import inspect
import os
import pkgutil
import re
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import pluggy

from unitf import hookspecs
from unitf.configurable import class_path
from unitf.errors import UserError

GROUP = "unitf"
KINDS = {
    "tokenizers": "unitf.tokenizer.Tokenizer",
    "tasks": "unitf.tasks.task.Task",
    "sources": "unitf.data.source.Source",
}
OWN = {  # unitf's own classes; written here because data and tasks stand on a higher floor
    "tasks": (
        "unitf.tasks.classification:Classification",
        "unitf.tasks.regression:Regression",
        "unitf.tasks.next_token:NextToken",
    ),
    "sources": (),
}
_LAZY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_Class = TypeVar("_Class", bound=type)


@dataclass
class Record:
    """One class that a plugin brings; or, without a kind, a plugin that could not be loaded."""

    plugin: str  # the name of its entry point
    package: str
    version: str
    kind: str = ""  # tokenizers, tasks or sources
    name: str = ""  # the short name, as YAML says it
    path: str = ""  # the dotted path of the class
    reason: str = ""  # why it does not work
    target: Any = None  # the class, or "module:Class" until it is used

    @property
    def status(self) -> str:
        return "broken" if self.reason else "ok"

    @property
    def owner(self) -> str:
        return f"{self.package} {self.version}".strip()


class Registry:
    """What all plugins bring, and which of them are broken."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hookspecs)
        self.discovered = False
        self.entries: list[Record] = []
        self.owned: set[str] = {"unitf"}  # modules whose classes may be named in YAML

    def discover(self) -> None:
        """Loads unitf's own classes and every installed plugin, one entry point at a time."""
        if self.discovered:  # also while it is going on: a plugin may call `unitf.register`
            return
        self.discovered = True
        own = Record("unitf", "unitf", _version())
        for kind, targets in OWN.items():
            self.entries += [_entry(kind, target, own) for target in targets]
        wanted, names = _wanted(), set()
        for origin, point in _entry_points():
            aliases = {origin.plugin, origin.package}
            names |= aliases
            if wanted is not None and not wanted & aliases:
                continue
            if point is None:
                self.entries.append(origin)
            else:
                self.load(origin, point)
        for name in sorted((wanted or set()) - names):
            reason = f"UNITF_PLUGINS names it; installed: {', '.join(sorted(names))}"
            self.entries.append(Record(name, "not installed", "", reason=reason))
        _mark_claims(self.entries)

    def load(self, origin: Record, point: metadata.EntryPoint) -> None:
        """Loads one plugin; whatever goes wrong becomes the reason of its record."""
        try:
            if point.pattern.match(point.value) is None:
                raise UserError(f"its entry point names no module: {point.value!r}")
            with redirect_stdout(sys.stderr):  # a plugin that prints must not spoil --json
                entries = self.call(point.load(), origin)
        except (Exception, SystemExit) as error:
            self.entries.append(replace(origin, reason=_reason(error)))
        else:
            self.entries += entries
            self.owned.add(point.module)

    def call(self, plugin: Any, origin: Record) -> list[Record]:
        """Registers a plugin with pluggy and asks its hooks, and no other's, what it brings."""
        api = getattr(plugin, "unitf_api", hookspecs.API_VERSION)
        if api != hookspecs.API_VERSION:
            raise UserError(
                f"made for version {api} of the plugin API, this unitf has {hookspecs.API_VERSION}"
            )
        if (name := self.manager.get_name(plugin)) is not None:
            raise UserError(f"the same module is registered already, as {name}")
        entries: list[Record] = []
        try:
            self.manager.register(plugin, f"{origin.package}:{origin.plugin}")
            self.manager.check_pending()
            others = [other for other in self.manager.get_plugins() if other is not plugin]
            for kind in KINDS:
                hook = self.manager.subset_hook_caller(f"register_{kind}", others)
                hook(
                    register=lambda target, kind=kind: entries.append(_entry(kind, target, origin))
                )
            if not entries:
                raise UserError(_silence(plugin))
        except BaseException:
            if self.manager.is_registered(plugin):
                self.manager.unregister(plugin)
            raise
        return entries

    def load_file(self, path: Path) -> None:
        """Loads a Python file as a plugin: by its hooks or, without any, the classes it defines.

        Raises:
            UserError: there is no such file, it cannot be imported or brings nothing.
        """
        origin = Record(path.stem, str(path), "")
        try:
            with redirect_stdout(sys.stderr):
                module = _import_file(path)
                if any(self.manager.parse_hookimpl_opts(module, name) for name in dir(module)):
                    entries = self.call(module, origin)
                else:
                    entries = [_entry(*found, origin) for found in _classes(module)]
        except (Exception, SystemExit) as error:
            raise UserError(f"--plugin {path}: {_reason(error)}") from error
        if not entries:
            raise UserError(f"--plugin {path}: {_silence(module)}")
        self.owned.add(module.__name__)
        for entry in entries:
            self.add(entry)

    def add(self, entry: Record) -> None:
        """Adds one class by the wish of a person: what is wrong with it is raised."""
        if entry.reason:
            raise UserError(f"{entry.owner}: {entry.reason}")
        same = [e for e in self.entries if (e.kind, e.name) == (entry.kind, entry.name)]
        for other in same:
            if other.path != entry.path:
                raise UserError(_claim([other, entry]))
            self.entries.remove(other)  # a notebook's cell that ran again
        self.entries.append(entry)

    def resolve(self, entry: Record) -> type | None:
        """The class of an entry, imported if need be; None, and a reason, if it is broken."""
        if not entry.reason and isinstance(entry.target, str):
            try:
                target = pkgutil.resolve_name(entry.target)
                entry.reason = _fault(entry.kind, target)
            except (Exception, SystemExit) as error:
                entry.reason = _reason(error)
            else:
                entry.target = target
        return entry.target if isinstance(entry.target, type) and not entry.reason else None

    def find(self, kind: str, name: str) -> type:
        """The class of a short name or a dotted class path.

        Raises:
            UserError: nothing of that name is installed, or it is broken.
        """
        entries = [entry for entry in self.entries if entry.kind == kind]
        for entry in entries:
            if name in (entry.name, entry.path):
                if (cls := self.resolve(entry)) is not None:
                    return cls
                if name == entry.name:
                    raise UserError(
                        f"{kind[:-1]} {name} of {entry.owner} is broken: {entry.reason}"
                    )
        if "." in name and (self.owns(name) or name.rpartition(".")[0] in sys.modules):
            return _by_path(kind, name)
        names = [entry.name for entry in entries if not entry.reason]
        near = near_names(name.rpartition(".")[2], names)
        raise UserError(
            f"no {kind[:-1]} is called {name!r}"
            + (f"; near: {', '.join(near)}" if near else "")
            + f"; installed: {', '.join(sorted(names)) or 'none'}"
        )

    def owns(self, path: str) -> bool:
        """Whether a dotted path lies in a module of unitf or of a plugin."""
        return any(path == m or path.startswith(f"{m}.") for m in self.modules())

    def modules(self) -> set[str]:
        modules = {
            e.target.partition(":")[0] if isinstance(e.target, str) else e.target.__module__
            for e in self.entries
            if e.kind and e.path
        }
        return self.owned | modules


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
            entry.reason = _absence(*entry.target.split(":"))
    return entries


def resolve_all(kind: str) -> dict[str, type]:
    """The classes of a kind (tokenizers, tasks, sources) by short name; broken ones are left out.

    A class that turns out to be broken only now, when it is imported, is warned of.
    """
    registry = _installed()
    entries = [entry for entry in registry.entries if entry.kind == kind and not entry.reason]
    classes = {e.name: cls for e in entries if (cls := registry.resolve(e)) is not None}
    if broken := [entry for entry in entries if entry.reason]:
        warnings.warn(_summary(broken), stacklevel=2)
    return classes


def find(kind: str, name: str) -> type:
    """The class of a kind, by its short name or class path; a UserError lists what is installed."""
    return _installed().find(kind, name)


def modules() -> set[str]:
    """The modules of unitf and of plugins, whose classes a YAML or a checkpoint may name."""
    return _installed().modules()


def load_file(path: str | os.PathLike[str]) -> None:
    """Loads a Python file as a plugin, for a modality that is not packaged yet."""
    _installed().load_file(Path(path))


def register(cls: _Class) -> _Class:
    """Registers a Tokenizer, Task or Source of a notebook or script; also as a decorator."""
    kind = kind_of(cls)
    if kind is None:
        raise UserError(f"register: expected a Tokenizer, Task or Source class, found {cls!r:.80}")
    _installed().add(_entry(kind, cls, Record(cls.__module__, "this session", "")))
    return cls


def broken_summary() -> str | None:
    """One line that names the broken plugins, if there are any."""
    broken = [entry for entry in records() if entry.reason]
    return _summary(broken) if broken else None


def near_names(name: str, names: Iterable[str]) -> list[str]:
    """The names that a misspelt one may mean, best first; upper and lower case are alike."""
    known = {other.lower(): other for other in names}
    return [known[n] for n in difflib.get_close_matches(name.lower(), known, cutoff=0.5)]


def kind_of(cls: Any) -> str | None:
    """Of which kind a class is, told by its bases' paths: nothing is imported for it."""
    bases = {class_path(base) for base in getattr(cls, "__mro__", ())}
    return next((kind for kind, base in KINDS.items() if base in bases), None)


# ---- finding ---------------------------------------------------------------------------


def _version() -> str:
    from unitf import __version__

    return __version__


def _wanted() -> set[str] | None:
    """The plugins that UNITF_PLUGINS names (by entry point or package); None: all."""
    value = os.environ.get("UNITF_PLUGINS")
    if value is None:
        return None
    return {name.strip() for name in value.split(",")} - {"", "none"}


def _entry_points() -> list[tuple[Record, metadata.EntryPoint | None]]:
    """Where each plugin comes from and its entry point: unitf's own first, then by package.

    Not `metadata.entry_points`, which one unreadable package spoils for all.
    """
    found: dict[str, list[tuple[Record, metadata.EntryPoint | None]]] = {}
    for distribution in metadata.distributions():
        text = distribution.read_text("entry_points.txt") or ""
        if f"[{GROUP}]" not in text:
            continue
        package = distribution.name or "(a package without a name)"
        if package in found:  # an older copy, further down the path
            continue
        origin = Record("", package, distribution.version or "")
        try:
            points = [point for point in distribution.entry_points if point.group == GROUP]
            found[package] = [(replace(origin, plugin=point.name), point) for point in points]
        except Exception as error:
            reason = f"its entry_points.txt cannot be read: {_reason(error)}"
            found[package] = [(replace(origin, plugin=package, reason=reason), None)]
    order = sorted(found, key=lambda package: (package != "unitf", package))
    return [item for package in order for item in found[package]]


def _import_file(path: Path) -> Any:
    """A file as a module of its own name, which spawned data workers can import as well."""
    path = path.resolve()
    if not path.is_file():
        raise UserError("there is no such file")
    if not path.stem.isidentifier() or path.suffix != ".py":
        raise UserError(f"expected a name that Python can import (my_plugin.py), found {path.name}")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, so that it hides nothing
    module = import_module(path.stem)
    if module.__file__ is None or Path(module.__file__).resolve() != path:
        raise UserError(
            f"the name {path.stem} is taken by {module.__file__ or 'Python'}: rename it"
        )
    return module


def _classes(module: Any) -> Iterator[tuple[str, type]]:
    """The tokenizers, tasks and sources that a module defines, each with its kind."""
    for value in vars(module).values():
        kind = kind_of(value)
        if kind and value.__module__ == module.__name__ and not inspect.isabstract(value):
            yield kind, value


def _by_path(kind: str, path: str) -> type:
    """The class of a dotted path."""
    try:
        cls = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{path}: {_reason(error)}") from error
    if fault := _fault(kind, cls):
        raise UserError(f"{path}: {fault}")
    return cls


# ---- judging ---------------------------------------------------------------------------


def _entry(kind: str, target: Any, origin: Record) -> Record:
    """The record of what was given to `register`: a class, or "module:Class"."""
    lazy = isinstance(target, str)
    if lazy and not _LAZY.fullmatch(target):
        return replace(
            origin, kind=kind, name=target, reason=f"expected 'module:Class', found {target!r}"
        )
    if lazy or isinstance(target, type):
        path = target.replace(":", ".") if lazy else class_path(target)
        reason = "" if lazy else _fault(kind, target)
        name = path.rpartition(".")[2]
        return replace(origin, kind=kind, name=name, path=path, reason=reason, target=target)
    return replace(origin, kind=kind, name=type(target).__name__, reason=_fault(kind, target))


def _fault(kind: str, target: Any) -> str:
    """Why an object is no usable class of a kind; empty if it is one."""
    base = KINDS[kind]
    expected = f"register_{kind} expects a subclass of {base}"
    if not isinstance(target, type):
        return f"{expected}, found {target!r:.80}"
    if kind_of(target) != kind:
        return f"{expected}, found the class {class_path(target)}"
    if inspect.isabstract(target):
        missing = ", ".join(sorted(getattr(target, "__abstractmethods__", ())))
        return f"{class_path(target)} does not define {missing}"
    return ""


def _absence(module: str, name: str) -> str:
    """Why module:name cannot be there, read from the source and not imported; empty if it may."""
    try:
        spec = find_spec(module)
        if spec is None:
            return f"there is no module {module}"
        if spec.origin is None or not spec.origin.endswith(".py"):
            return ""
        tree = ast.parse(Path(spec.origin).read_bytes(), spec.origin)
    except (Exception, SystemExit) as error:
        return _reason(error)
    names = {"__getattr__", "*", name.partition(".")[0]}
    for node in ast.walk(tree):
        bound = getattr(node, "asname", None) or getattr(node, "name", None)
        if bound in names or (isinstance(node, ast.Name) and node.id in names):
            return ""
    return f"module {module} has no {name}"


def _silence(plugin: Any) -> str:
    """Why a plugin that registered nothing did not."""
    expected = " or ".join(f"register_{kind}" for kind in KINDS)
    bare = [f"register_{kind}" for kind in KINDS if hasattr(plugin, f"register_{kind}")]
    if bare:
        return f"{bare[0]} registers nothing (is it marked with @unitf.hookimpl?)"
    return f"it brings nothing: expected a hook {expected}"


def _mark_claims(entries: list[Record]) -> None:
    """Breaks what claims a name that another package has too: unitf's own stands."""
    names: dict[tuple[str, str], list[Record]] = {}
    for entry in entries:
        if entry.path and not entry.reason:
            names.setdefault((entry.kind, entry.name), []).append(entry)
    for claimants in names.values():
        if len({entry.path for entry in claimants}) > 1:
            for entry in claimants:
                if entry.package != "unitf":
                    entry.reason = _claim(claimants)


def _claim(claimants: list[Record]) -> str:
    each = " and ".join(f"{entry.owner} ({entry.path})" for entry in claimants)
    return f"the name {claimants[0].name} is claimed by {each}"


def _summary(broken: list[Record]) -> str:
    names = dict.fromkeys(f"{e.name or e.plugin} ({e.owner})" for e in broken)
    return f"left out because broken: {', '.join(names)}; `unitf plugins list` says why"


def _reason(error: BaseException) -> str:
    """An error as one line: what it is and where in the plugin it was raised."""
    text = " ".join(str(error).split())
    if isinstance(error, pluggy.PluginValidationError):
        return _hook_reason(text)
    if isinstance(error, UserError):
        return text
    if isinstance(error, SystemExit):
        text = f"it ends the program (sys.exit({text}))"
    else:
        text = f"{type(error).__name__}: {text[:300]}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith("<") and f.filename != __file__]
    frames = [f for f in own if "importlib" not in Path(f.filename).parts]
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})" if frames else text


def _hook_reason(text: str) -> str:
    """What pluggy says of a hook, without the repr of the plugin, and with near names."""
    if unknown := re.match(r"unknown hook '(\w+)'", text):
        hooks = [f"register_{kind}" for kind in KINDS]
        near = near_names(unknown[1], hooks) or hooks
        return f"there is no hook {unknown[1]}; near: {', '.join(near)}"
    text = re.sub(r"Plugin '[^']*' for hook '(\w+)' hookimpl definition: ", "", text)
    return f"{text}: expected the one argument `register`"
