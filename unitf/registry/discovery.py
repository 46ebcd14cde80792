"""Finds plugins and checks what they register, without importing torch."""

import inspect
import os
import pkgutil
import re
import sys
from abc import ABC
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import ClassVar, Protocol, cast, runtime_checkable

from unitf.errors import UserError
from unitf.registry.kinds import HOOKS, KINDS
from unitf.registry.plugin_errors import one_line

GROUP: str = "unitf"  # the group of entry points
_LAZY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass
class Record:
    """One class that a plugin registered; or, without a kind, a plugin that could not be loaded."""

    plugin: str  # the name of its entry point
    package: str
    version: str
    kind: str = ""  # one of KINDS
    name: str = ""  # the short name, as YAML says it
    path: str = ""  # the dotted path of the class
    reason: str = ""  # why it does not work
    target: object = None  # the class, or "module:Class" until it is used
    claimed: bool = False  # whether it is broken only because another package has the same name
    help: str = ""  # one line about it, if it has one

    @property
    def status(self) -> str:
        """ "ok" or "broken"."""
        return "broken" if self.reason else "ok"

    @property
    def owner(self) -> str:
        """The package and its version, for messages."""
        return f"{self.package} {self.version}".strip()


@runtime_checkable
class EntryPoint(Protocol):
    """The used part of `importlib.metadata.EntryPoint`, a class that is slow to import."""

    pattern: ClassVar[re.Pattern[str]]

    @property
    def name(self) -> str: ...

    @property
    def value(self) -> str: ...

    def load(self) -> object:
        """Imports the module and returns it, or the object in it that the entry point names."""


# ---- finding ---------------------------------------------------------------------------


def wanted_plugins() -> set[str] | None:
    """Returns the plugins named in UNITF_PLUGINS (by entry point or package); None means all."""
    value = os.environ.get("UNITF_PLUGINS")
    if value is None:
        return None
    return {name.strip() for name in value.split(",")} - {"", "none"}


def has_strangers() -> bool:
    """Returns whether a package other than unitf in a folder of `sys.path` has plugins.

    It is faster than `entry_points`, but does not see packages outside folders (in a zip).
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
    """Returns the origin and the entry point of each plugin: those of unitf first, then by package.

    `metadata.entry_points` is not used, as one unreadable package makes it fail for all.
    """
    from importlib import metadata  # slow: a third of the time of `unitf --help`, if imported there

    by_package: dict[str, list[tuple[Record, EntryPoint | None]]] = {}
    for distribution in metadata.distributions():
        text = distribution.read_text("entry_points.txt") or ""
        if f"[{GROUP}]" not in text:
            continue
        package = distribution.name or "a package without a name"
        if package in by_package:  # an older copy, later on the path
            continue
        origin = Record("", package, distribution.version or "")
        try:
            points = [point for point in distribution.entry_points if point.group == GROUP]
            by_package[package] = [
                (replace(origin, plugin=point.name), cast(EntryPoint, point)) for point in points
            ]
        except Exception as error:
            reason = f"its entry_points.txt cannot be read: {one_line(error)}"
            by_package[package] = [(replace(origin, plugin=package, reason=reason), None)]
    order = sorted(by_package, key=lambda package: (package != "unitf", package))
    return [item for package in order for item in by_package[package]]


def visible(plugin: object) -> object:
    """Returns the plugin in a form whose hooks pluggy sees.

    pluggy uses `dir`. A package with its own `__dir__` may hide its hooks from it.
    """
    if not isinstance(plugin, ModuleType) or "__dir__" not in vars(plugin):
        return plugin
    open_plugin = ModuleType(plugin.__name__)
    vars(open_plugin).update((k, v) for k, v in vars(plugin).items() if k != "__dir__")
    return open_plugin


def classes_of(module: ModuleType) -> Iterator[tuple[str, type]]:
    """Yields the classes that a module defines and a plugin can register, each with its kind.

    A base class for others is left out; a class that lacks a method is not, since it is broken.
    """
    for value in dict.fromkeys(filter(inspect.isclass, vars(module).values())):
        kind = kind_of(value)
        if kind and value.__module__ == module.__name__ and not _is_base(value, module):
            yield kind, value


def _is_base(cls: type, module: ModuleType) -> bool:
    """Returns whether an abstract class is meant so: it says so, or the module derives from it."""
    if not inspect.isabstract(cls):
        return False
    own = any(getattr(value, "__isabstractmethod__", False) for value in vars(cls).values())
    derived = any(vars(module).get(other.__name__) is other for other in cls.__subclasses__())
    return own or derived or ABC in cls.__bases__


def class_by_path(kind: str, path: str) -> type:
    """Returns the class of a dotted path.

    Raises:
        UserError: it cannot be imported, or is no class of this kind.
    """
    try:
        cls = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{path}: {one_line(error)}") from error
    if reason := fault(kind, cls):
        raise UserError(f"{path}: {reason}")
    return cls


# ---- checking --------------------------------------------------------------------------


def class_path(cls: type) -> str:
    """Returns the dotted path of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def kind_of(cls: object) -> str | None:
    """Returns the kind of a class by the paths of its bases, or None; nothing is imported."""
    bases = {class_path(base) for base in getattr(cls, "__mro__", ())}
    return next((kind for kind, row in KINDS.items() if bases & {*row.bases}), None)


def to_record(
    kind: str, target: object, origin: Record, name: str | None = None, help: str = ""
) -> Record:
    """Returns the record of a class, or of a "module:Class" that is imported later.

    Args:
        origin: the record of the plugin that registers it.
        name: the short name; by default the name of the class.
    """
    if isinstance(target, str):
        path = target.replace(":", ".")
        reason = "" if _LAZY.fullmatch(target) else f"expected 'module:Class', found {target!r}"
    elif isinstance(target, type):
        path, reason = class_path(target), fault(kind, target)
    else:
        path, reason = type(target).__name__, fault(kind, target)
    if name is not None and not KINDS[kind].nameable:
        reason = reason or f"{kind} have the names of their classes, found name={name!r}"
    if kind == "commands":
        name, help, fault_of_name = described_command(target, path, name, help)
        reason = reason or fault_of_name
    name = path.rpartition(".")[2] if name is None else name
    return replace(origin, kind=kind, name=name, path=path, reason=reason, target=target, help=help)


def described_command(
    target: object, path: str, name: str | None, help: str
) -> tuple[str, str, str]:
    """Returns the verb of a command, its line in `unitf --help`, and the error of a bad verb."""
    words = re.findall("[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", path.rpartition(".")[2])
    verb = name or getattr(target, "name", "") or "-".join(words).lower()
    line = help or getattr(target, "help", "") or (getattr(target, "__doc__", "") or "")
    line = line.strip().partition("\n")[0]
    if not re.fullmatch("[a-z][a-z0-9-]*", verb):
        return verb, line, f"expected a verb of lower-case letters and hyphens, found {verb!r}"
    return verb, line, ""


def fault(kind: str, target: object) -> str:
    """Returns why an object is no usable class of a kind; empty if it is one."""
    expected = f"expected a subclass of {' or '.join(map(_public_path, KINDS[kind].bases))}"
    if not isinstance(target, type):
        return f"{expected}, found {target!r:.80}"
    if (other := kind_of(target)) != kind:
        hint = f", which register_{other} takes" if other else ""
        return f"{expected}, found the class {class_path(target)}{hint}"
    if inspect.isabstract(target):
        missing = ", ".join(sorted(target.__abstractmethods__))
        return f"the {KINDS[kind].one} {target.__name__} does not define {missing}"
    return ""


def _public_path(path: str) -> str:
    """Returns the shorter name of a base class that unitf itself exports."""
    module, _, name = path.rpartition(".")
    public = module.startswith("unitf.") and name in sys.modules["unitf"].__all__
    return f"unitf.{name}" if public else path


def silence(plugin: object) -> str:
    """Returns why a plugin registered nothing."""
    if present := [hook for hook in HOOKS if hasattr(plugin, hook)]:
        return f"{present[0]} registers nothing (is it marked with @unitf.hookimpl?)"
    kinds = ", ".join(row.one for row in KINDS.values())
    return f"it brings nothing: expected a hook ({', '.join(HOOKS)}) or a class ({kinds})"


def mark_claims(entries: list[Record]) -> None:
    """Marks the classes of a name as broken if several packages use it; those of unitf stay."""
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
    """Returns the message that several packages use the same name."""
    each = " and ".join(f"{entry.owner} ({entry.path})" for entry in claimants)
    return f"the name {claimants[0].name} is claimed by {each}"
