"""How plugins are found and judged, without importing torch; the registry keeps what is found."""

import ast
import hashlib
import inspect
import os
import pkgutil
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Protocol, runtime_checkable

from unitf.errors import UserError
from unitf.registry.kinds import HOOKS, KINDS
from unitf.registry.plugin_errors import one_line

GROUP = "unitf"
# saved models and recipes know these by the names of their classes
NAMED_BY_CLASS = ("tokenizers", "tasks", "sources", "hubs", "architectures")
_LAZY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass
class Record:
    """One class that a plugin brings; or, without a kind, a plugin that could not be loaded."""

    plugin: str  # the name of its entry point
    package: str
    version: str
    kind: str = ""  # one of KINDS
    name: str = ""  # the short name, as YAML says it
    path: str = ""  # the dotted path of the class
    reason: str = ""  # why it does not work
    target: Any = None  # the class, or "module:Class" until it is used
    claimed: bool = False  # whether nothing but another package's claim to the name is wrong
    help: str = ""  # one line about it, if it has one

    @property
    def status(self) -> str:
        return "broken" if self.reason else "ok"

    @property
    def owner(self) -> str:
        return f"{self.package} {self.version}".strip()


@runtime_checkable
class EntryPoint(Protocol):
    """What is used of `importlib.metadata.EntryPoint`, which takes long to import."""

    pattern: ClassVar[Any]

    @property
    def name(self) -> str: ...

    @property
    def value(self) -> str: ...

    @property
    def module(self) -> str: ...

    def load(self) -> Any: ...


# ---- finding ---------------------------------------------------------------------------


def wanted_plugins() -> set[str] | None:
    """The plugins that UNITF_PLUGINS names (by entry point or package); None: all."""
    value = os.environ.get("UNITF_PLUGINS")
    if value is None:
        return None
    return {name.strip() for name in value.split(",")} - {"", "none"}


def has_strangers() -> bool:
    """Whether files on `sys.path` say that another package than unitf brings plugins.

    It is quicker than `entry_points`, and blind to packages that lie in no folder.
    """
    for folder in sys.path:
        with suppress(OSError), os.scandir(folder or ".") as entries:
            for entry in entries:
                name = entry.name
                if name.endswith((".dist-info", ".egg-info")) and not name.startswith("unitf-"):
                    with suppress(OSError):
                        text = Path(entry.path, "entry_points.txt").read_bytes()
                        if f"[{GROUP}]".encode() in text:
                            return True
    return False


def entry_points() -> list[tuple[Record, EntryPoint | None]]:
    """Where each plugin comes from and its entry point: unitf's own first, then by package.

    Not `metadata.entry_points`, which one unreadable package spoils for all.
    """
    from importlib import metadata  # a third of the time of `unitf --help`, which needs none

    found: dict[str, list[tuple[Record, EntryPoint | None]]] = {}
    for distribution in metadata.distributions():
        text = distribution.read_text("entry_points.txt") or ""
        if f"[{GROUP}]" not in text:
            continue
        package = distribution.name or "a package without a name"
        if package in found:  # an older copy, further down the path
            continue
        origin = Record("", package, distribution.version or "")
        try:
            points = [point for point in distribution.entry_points if point.group == GROUP]
            found[package] = []
            for point in points:
                found[package].append((replace(origin, plugin=point.name), point))
        except Exception as error:
            reason = f"its entry_points.txt cannot be read: {one_line(error)}"
            found[package] = [(replace(origin, plugin=package, reason=reason), None)]
    order = sorted(found, key=lambda package: (package != "unitf", package))
    return [item for package in order for item in found[package]]


def import_file(path: Path) -> Any:
    """A file as a module of its own name, which spawned data workers can import as well."""
    path = path.resolve()
    if not path.is_file():
        raise UserError("there is no such file")
    if not path.stem.isidentifier() or path.suffix != ".py":
        raise UserError(f"expected a name that Python can import (my_plugin.py), found {path.name}")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, so that it hides nothing
    module = import_module(path.stem)
    taken_by = getattr(module, "__file__", None) or "Python"
    if Path(taken_by).resolve() != path:
        raise UserError(f"the name {path.stem} is taken by {taken_by}: rename the file")
    content_hash(module)  # now, before somebody changes the file
    return module


@cache
def content_hash(module: ModuleType) -> str | None:
    """The SHA-256 of a module's file when it was first asked for; None: it cannot be read."""
    try:
        return hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()
    except OSError:
        return None


def visible(plugin: Any) -> Any:
    """A plugin whose hooks pluggy sees: it looks with `dir`, where lazy packages may hide them."""
    if not isinstance(plugin, ModuleType) or "__dir__" not in vars(plugin):
        return plugin
    open_plugin = ModuleType(plugin.__name__)
    vars(open_plugin).update((k, v) for k, v in vars(plugin).items() if k != "__dir__")
    return open_plugin


def classes_of(module: Any) -> Iterator[tuple[str, type]]:
    """The classes of any kind that a module defines, each with its kind."""
    for value in vars(module).values():
        kind = kind_of(value)
        if kind and value.__module__ == module.__name__ and not inspect.isabstract(value):
            yield kind, value


def class_by_path(kind: str, path: str) -> type:
    """The class of a dotted path."""
    try:
        cls = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{path}: {one_line(error)}") from error
    if reason := fault(kind, cls):
        raise UserError(f"{path}: {reason}")
    return cls


# ---- judging ---------------------------------------------------------------------------


def class_path(cls: type) -> str:
    """The dotted path under which a class can be imported."""
    return f"{cls.__module__}.{cls.__qualname__}"


def kind_of(cls: Any) -> str | None:
    """Of which kind a class is, told by its bases' paths: nothing is imported for it."""
    bases = {class_path(base) for base in getattr(cls, "__mro__", ())}
    return next((kind for kind, row in KINDS.items() if bases & {*row.bases}), None)


def to_record(
    kind: str, target: Any, origin: Record, name: str | None = None, help: str = ""
) -> Record:
    """The record of what was given to `register`: a class, or "module:Class"."""
    if isinstance(target, str):
        path = target.replace(":", ".")
        reason = "" if _LAZY.fullmatch(target) else f"expected 'module:Class', found {target!r}"
    elif isinstance(target, type):
        path, reason = class_path(target), fault(kind, target)
    else:
        path, reason = type(target).__name__, fault(kind, target)
    if name is not None and kind in NAMED_BY_CLASS:
        reason = reason or f"{kind} have the names of their classes, found name={name!r}"
    if kind == "commands":
        name, help, fault_of_name = described_command(target, path, name, help)
        reason = reason or fault_of_name
    name = path.rpartition(".")[2] if name is None else name
    return replace(origin, kind=kind, name=name, path=path, reason=reason, target=target, help=help)


def described_command(target: Any, path: str, name: str | None, help: str) -> tuple[str, str, str]:
    """The verb of a command, the line that `unitf --help` shows, and why it can be no verb."""
    words = re.findall("[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", path.rpartition(".")[2])
    verb = name or getattr(target, "name", "") or "-".join(words).lower()
    line = help or getattr(target, "help", "") or (getattr(target, "__doc__", "") or "")
    line = line.strip().partition("\n")[0]
    if not re.fullmatch("[a-z][a-z0-9-]*", verb):
        return verb, line, f"expected a verb of lower-case letters and hyphens, found {verb!r}"
    return verb, line, ""


def fault(kind: str, target: Any) -> str:
    """Why an object is no usable class of a kind; empty if it is one."""
    expected = f"expected a subclass of {' or '.join(KINDS[kind].bases)}"
    if not isinstance(target, type):
        return f"{expected}, found {target!r:.80}"
    if kind_of(target) != kind:
        return f"{expected}, found the class {class_path(target)}"
    if inspect.isabstract(target):
        missing = ", ".join(sorted(target.__abstractmethods__))
        return f"{class_path(target)} does not define {missing}"
    return ""


def absence(module: str, name: str) -> str:
    """Why module:name cannot be there, read from the source, not imported; empty if it may be."""
    try:
        spec = _specification(module)
        if spec is None:
            return f"there is no module {module}"
        if spec.origin is None or not spec.origin.endswith(".py"):
            return ""
        tree = ast.parse(Path(spec.origin).read_bytes(), spec.origin)
    except (Exception, SystemExit) as error:
        return one_line(error)
    names = {"__getattr__", "*", name.partition(".")[0]}
    for node in ast.walk(tree):
        bound = getattr(node, "asname", None) or getattr(node, "name", None)
        if bound in names or (isinstance(node, ast.Name) and node.id in names):
            return ""
    return f"module {module} has no {name}"


def _specification(module: str) -> ModuleSpec | None:
    """Where a module lies; unlike `find_spec` it imports none of the packages that it is in."""
    top, *rest = module.split(".")
    spec, name = find_spec(top), top
    for part in rest:
        if spec is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, spec.submodule_search_locations or [])
    return spec


def silence(plugin: Any) -> str:
    """Why a plugin that registered nothing did not."""
    if present := [hook for hook in HOOKS if hasattr(plugin, hook)]:
        return f"{present[0]} registers nothing (is it marked with @unitf.hookimpl?)"
    kinds = ", ".join(row.one for row in KINDS.values())
    return f"it brings nothing: expected a hook ({', '.join(HOOKS)}) or a class ({kinds})"


def mark_claims(entries: list[Record]) -> None:
    """Breaks what claims a name that another package has too, unless it is unitf's own."""
    names: dict[tuple[str, str], list[Record]] = {}
    for entry in entries:
        if entry.path and not entry.reason:
            names.setdefault((entry.kind, entry.name), []).append(entry)
    for claimants in names.values():
        if len({entry.path for entry in claimants}) > 1:
            for entry in claimants:
                if entry.package != "unitf":
                    entry.reason, entry.claimed = claim(claimants), True


def claim(claimants: list[Record]) -> str:
    """That several packages have the same name, and which."""
    each = " and ".join(f"{entry.owner} ({entry.path})" for entry in claimants)
    return f"the name {claimants[0].name} is claimed by {each}"
