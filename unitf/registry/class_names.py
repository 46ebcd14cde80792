"""How saved data names a class: by what brings it, never by where its file lies.

A class of a distribution, as it is registered there, and the version that it was saved with:

    {"class": "ImagePatches", "kind": "tokenizers", "distribution": "unitf", "version": "0.1.0"}

A class of a `--plugin` file, and the hash of what the file held; in a notebook `file` is null:

    {"class": "Heart", "kind": "tokenizers", "file": "heart.py", "sha256": "…"}

A class of settings has no kind. Where the annotation of the argument that it is given to says which
class is meant, it has nothing but its name: `{"class": "Augment"}`.

A class says under which names it was known before by `former_names`: `"Name"` (in the same
distribution or file), `"module.Name"` or `"distribution:Name"`.
"""

import hashlib
import inspect
import re
import sys
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from unitf import registry
from unitf.registry import discovery
from unitf.registry.arguments import classes_of
from unitf.registry.discovery import Record

KEYS = ("class", "kind", "distribution", "version", "file", "sha256", "module")
Named = Mapping[str, Any]


# ---- writing -----------------------------------------------------------------------------


def name_of(cls: type) -> dict[str, Any]:
    """How saved data names a class."""
    kind = discovery.kind_of(cls)
    entry = _entry(kind, cls) if kind else None
    named: dict[str, Any] = {"class": entry.name if entry else cls.__qualname__}
    if kind:
        named["kind"] = kind
    return named | place_of(cls, entry)


def name_of_argument(cls: type, owner: type, argument: str) -> dict[str, Any]:
    """How saved data names the class of what the constructor of `owner` was given."""
    if discovery.kind_of(cls) is None and expected_class(owner, argument, cls.__qualname__) is cls:
        return {"class": cls.__qualname__}
    return name_of(cls)


def _entry(kind: str, cls: type) -> Record | None:
    entries = [e for e in registry.entries_of(kind) if e.claimed or not e.reason]
    path = discovery.class_path(cls)
    for entry in entries:
        if entry.target is cls or entry.path == path:
            return entry
    # "package:Class", which the package takes from one of its files
    alike = [entry for entry in entries if entry.name == cls.__name__]
    return next((entry for entry in alike if registry.resolve(entry) is cls), None)


def place_of(cls: type, entry: Record | None = None) -> dict[str, Any]:
    """What brings a class: a distribution, or a file.

    Args:
        entry: as what it is registered, if it is.
    """
    home = _home(cls.__module__)
    if entry is not None and is_distribution(entry.package):
        home = entry
    if home is not None:
        return {"distribution": home.package, "version": home.version}
    file = file_of(cls.__module__)
    if file is None:
        return {"file": None, "sha256": _source_hash(cls)}
    return {"file": file.name, "sha256": discovery.content_hash(sys.modules[cls.__module__])}


def _source_hash(cls: type) -> str | None:
    """Of the methods of a class without a file: a notebook keeps their text."""
    try:
        methods = [f for f in vars(cls).values() if inspect.isfunction(f)]
        text = "\n".join(sorted(inspect.getsource(method) for method in methods))
    except (OSError, TypeError):
        return None
    return hashlib.sha256(text.encode()).hexdigest() if text else None


# ---- where a class is at home ------------------------------------------------------------


def distribution_of(module: str) -> str | None:
    """The distribution that a module belongs to, if it is one with plugins."""
    home = _home(module)
    return None if home is None else home.package


def _home(module: str) -> Record | None:
    """Whose entry point shares most with the dotted name of a module, its first part at least."""
    best, most = None, 0
    for name, record in registry.homes().items():
        pairs = zip(name.split("."), module.split("."), strict=False)
        shared = len([*takewhile(lambda pair: pair[0] == pair[1], pairs)])
        if shared > most:
            best, most = record, shared
    return best


def is_distribution(name: str) -> bool:
    """Whether this is the name of a distribution that brings plugins."""
    return any(same_distribution(name, home.package) for home in registry.homes().values())


def same_distribution(one: str, other: str) -> bool:
    """Whether two spellings are one distribution (PEP 503)."""
    first, second = (re.sub(r"[-_.]+", "-", name).lower() for name in (one, other))
    return first == second


def file_of(module: str) -> Path | None:
    """The file of a module that was imported; a notebook has none."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return None if file is None else Path(file)


# ---- which class is meant ------------------------------------------------------------------


def expected_class(owner: type, argument: str, name: str) -> type | None:
    """The only class of this name that an argument may be of, as far as it is annotated."""
    classes = classes_of(owner, argument)
    for pool in (classes, with_subclasses(classes)):
        found = [cls for cls in pool if cls.__qualname__ == name]
        if len(found) == 1:
            return found[0]
    return None


def with_subclasses(classes: list[type]) -> list[type]:
    """Classes and all their subclasses that are there."""
    found, waiting = dict.fromkeys(classes), list(classes)
    while waiting:
        new = [cls for cls in type.__subclasses__(waiting.pop(0)) if cls not in found]
        found |= dict.fromkeys(new)
        waiting += new
    return list(found)


def has_been(cls: type, named: Named) -> bool:
    """Whether a class is what saved data names, or was once called so."""
    own = name_of(cls)
    same = all(own.get(key) == named.get(key) for key in ("class", "kind", "distribution"))
    return (same and ("file" in own) == ("file" in named)) or was_called(cls, named)


def was_called(cls: type, named: Named) -> bool:
    """Whether `former_names` of a class hold what saved data names."""
    former_names = vars(cls).get("former_names", ())
    if not former_names:
        return False
    name, place = named["class"], place_of(cls)
    spellings = {f"{named['module']}.{name}"} if "module" in named else set()
    if "distribution" in named:
        spellings.add(f"{named['distribution']}:{name}")
        at_home = same_distribution(named["distribution"], place.get("distribution", ""))
    else:
        at_home = "file" in named and "file" in place
        if named.get("file"):
            spellings.add(f"{Path(named['file']).stem}.{name}")
    return any(
        former in spellings or (at_home and ":" not in former and former.split(".")[-1] == name)
        for former in former_names
    )
