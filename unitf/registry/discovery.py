"""How plugins are found and judged, without importing torch; the registry keeps what is found."""

import ast
import hashlib
import inspect
import os
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from unitf.errors import UserError, close_names
from unitf.registry.core_parts import CORE_PARTS

GROUP = "unitf"
KINDS = {
    "tokenizers": "unitf.tokenizer.tokenizer.Tokenizer",
    "tasks": "unitf.tasks.task.Task",
    "sources": "unitf.data.source.Source",
    "hubs": "unitf.interop.hub.Hub",
    "architectures": "unitf.interop.architecture.Architecture",
    "norms": "unitf.core.norms.Norm",
    "activations": "unitf.core.activations.Activation",
    "feedforwards": "unitf.core.feedforward.FeedForward",
    "relative_positions": "unitf.core.relative_positions.RelativePositions",
}
HOOKS = [f"register_{kind}" for kind in KINDS]
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

    @property
    def status(self) -> str:
        return "broken" if self.reason else "ok"

    @property
    def owner(self) -> str:
        return f"{self.package} {self.version}".strip()


# ---- finding ---------------------------------------------------------------------------


def wanted_plugins() -> set[str] | None:
    """The plugins that UNITF_PLUGINS names (by entry point or package); None: all."""
    value = os.environ.get("UNITF_PLUGINS")
    if value is None:
        return None
    return {name.strip() for name in value.split(",")} - {"", "none"}


def entry_points() -> list[tuple[Record, metadata.EntryPoint | None]]:
    """Where each plugin comes from and its entry point: unitf's own first, then by package.

    Not `metadata.entry_points`, which one unreadable package spoils for all.
    """
    found: dict[str, list[tuple[Record, metadata.EntryPoint | None]]] = {}
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
            found[package] = [(replace(origin, plugin=point.name), point) for point in points]
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
    """The tokenizers, tasks and sources that a module defines, each with its kind."""
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
    return next((kind for kind, base in KINDS.items() if base in bases), None)


def to_record(kind: str, target: Any, origin: Record, name: str | None = None) -> Record:
    """The record of what was given to `register`: a class, or "module:Class".

    Args:
        name: the short name; None: that of the class.
    """
    if isinstance(target, str):
        path = target.replace(":", ".")
        reason = "" if _LAZY.fullmatch(target) else f"expected 'module:Class', found {target!r}"
    elif isinstance(target, type):
        path, reason = class_path(target), fault(kind, target)
    else:
        path, reason = type(target).__name__, fault(kind, target)
    if name is not None and kind not in CORE_PARTS:
        reason = reason or f"{kind} have the names of their classes, found name={name!r}"
    name = name or path.rpartition(".")[2]
    return replace(origin, kind=kind, name=name, path=path, reason=reason, target=target)


def fault(kind: str, target: Any) -> str:
    """Why an object is no usable class of a kind; empty if it is one."""
    expected = f"expected a subclass of {KINDS[kind]}"
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
        spec = find_spec(module)
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


def silence(plugin: Any) -> str:
    """Why a plugin that registered nothing did not."""
    if present := [hook for hook in HOOKS if hasattr(plugin, hook)]:
        return f"{present[0]} registers nothing (is it marked with @unitf.hookimpl?)"
    return f"it brings nothing: expected a hook {' or '.join(HOOKS)}"


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


def one_line(error: BaseException) -> str:
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
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<")
        and not {"importlib", "pluggy", "pkgutil.py"} & set(Path(frame.filename).parts)
        and frame.filename not in (__file__, f"{Path(__file__).parent}/registry.py")
    ]
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})" if frames else text


def _hook_reason(text: str) -> str:
    """What pluggy says of a hook, without the repr of the plugin, and with near names."""
    if unknown := re.match(r"unknown hook '(\w+)'", text):
        near = close_names(unknown[1], HOOKS) or HOOKS
        return f"there is no hook {unknown[1]}; near: {', '.join(near)}"
    return re.sub(r"^Plugin '[^']*' for hook '\w+' hookimpl definition: ", "", text)
