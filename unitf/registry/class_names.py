"""How saved data names a class: by the package or file that brings it, not by its module path.

A class of an installed package has its registered name, the package and the package's version:

    {"class": "ImagePatches", "kind": "tokenizers", "distribution": "unitf", "version": "0.1.0"}

A class of a `--plugin` file has the file's name and the hash of its text (a notebook: null):

    {"class": "Heart", "kind": "tokenizers", "file": "heart.py", "sha256": "…"}

A class of settings has no kind. Where the annotation of the argument that takes it says which class
is meant, its name alone is saved: `{"class": "Augment"}`.

The attribute `former_names` of a class lists its earlier names: `"Name"` (in the same distribution
or file), `"module.Name"` or `"distribution:Name"`.
"""

import hashlib
import inspect
import re
import sys
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeAlias

from unitf import registry
from unitf.registry import discovery, importing
from unitf.registry.arguments import classes_of
from unitf.registry.discovery import Record

KEYS: tuple[str, ...] = ("class", "kind", "distribution", "version", "file", "sha256", "module")
PlainData: TypeAlias = Any
"""Text, numbers, booleans, None, and lists and dictionaries of them: what JSON can hold."""
Named: TypeAlias = Mapping[str, PlainData]
"""How saved data names one class; see above."""


# ---- writing -----------------------------------------------------------------------------


def name_of(cls: type) -> dict[str, PlainData]:
    """Returns how saved data names a class."""
    kind = discovery.kind_of(cls)
    entry = _entry(kind, cls) if kind else None
    named: dict[str, PlainData] = {"class": entry.name if entry else cls.__qualname__}
    if kind:
        named["kind"] = kind
    return named | origin_of(cls, entry)


def name_of_argument(cls: type, owner: type, argument: str) -> dict[str, PlainData]:
    """Returns how saved data names the class of a constructor argument.

    Args:
        cls: the class of the value.
        owner: the class whose constructor takes the value.
        argument: the name of the argument.
    """
    if discovery.kind_of(cls) is None and expected_class(owner, argument, cls.__qualname__) is cls:
        return {"class": cls.__qualname__}
    return name_of(cls)


def _entry(kind: str, cls: type) -> Record | None:
    entries = [e for e in registry.entries_of(kind) if e.claimed or not e.reason]
    path = discovery.class_path(cls)
    for entry in entries:
        if entry.target is cls or entry.path == path:
            return entry
    # registered as "package:Class", where the package imports the class from one of its files
    alike = [entry for entry in entries if entry.name == cls.__name__]
    return next((entry for entry in alike if registry.resolve(entry) is cls), None)


def origin_of(cls: type, entry: Record | None = None) -> dict[str, PlainData]:
    """Returns what brings a class: its distribution and version, or its file and the file's hash.

    Args:
        entry: the record of the class, if it is registered.
    """
    home = _home(cls.__module__)
    if entry is not None and is_distribution(entry.package):
        home = entry
    if home is not None:
        return {"distribution": home.package, "version": home.version}
    file = file_of(cls.__module__)
    if file is None:
        return {"file": None, "sha256": _source_hash(cls)}
    return {"file": file.name, "sha256": importing.content_hash(sys.modules[cls.__module__])}


def _source_hash(cls: type) -> str | None:
    """Hashes the source of the methods of a class without a file; a notebook keeps their text."""
    try:
        methods = [f for f in vars(cls).values() if inspect.isfunction(f)]
        text = "\n".join(sorted(inspect.getsource(method) for method in methods))
    except (OSError, TypeError):
        return None
    return hashlib.sha256(text.encode()).hexdigest() if text else None


# ---- which distribution or file brings a class -------------------------------------------


def distribution_of(module: str) -> str | None:
    """Returns the distribution of a module, if the distribution brings plugins."""
    home = _home(module)
    return None if home is None else home.package


def _home(module: str) -> Record | None:
    """Returns the plugin whose module shares the most leading parts with `module`, at least one."""
    best, most = None, 0
    for name, record in registry.homes().items():
        pairs = zip(name.split("."), module.split("."), strict=False)
        shared = len([*takewhile(lambda pair: pair[0] == pair[1], pairs)])
        if shared > most:
            best, most = record, shared
    return best


def is_distribution(name: str) -> bool:
    """Returns whether a distribution of this name brings plugins."""
    return any(same_distribution(name, home.package) for home in registry.homes().values())


def same_distribution(one: str, other: str) -> bool:
    """Returns whether two spellings mean the same distribution (PEP 503)."""
    first, second = (re.sub(r"[-_.]+", "-", name).lower() for name in (one, other))
    return first == second


def file_of(module: str) -> Path | None:
    """Returns the file of an imported module, or None (a notebook has no file)."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return None if file is None else Path(file)


# ---- which class is meant ------------------------------------------------------------------


def expected_class(owner: type, argument: str, name: str) -> type | None:
    """Returns the only class called `name` that the annotation of an argument allows, or None."""
    classes = classes_of(owner, argument)
    for pool in (classes, with_subclasses(classes)):
        matches = [cls for cls in pool if cls.__qualname__ == name]
        if len(matches) == 1:
            return matches[0]
    return None


def with_subclasses(classes: list[type]) -> list[type]:
    """Returns the classes and all their subclasses that are imported."""
    known, waiting = dict.fromkeys(classes), list(classes)
    while waiting:
        new = [cls for cls in type.__subclasses__(waiting.pop(0)) if cls not in known]
        known |= dict.fromkeys(new)
        waiting += new
    return list(known)


def has_been(cls: type, named: Named) -> bool:
    """Returns whether saved data means this class, by its name of today or by a former name."""
    current = name_of(cls)
    same = all(current.get(key) == named.get(key) for key in ("class", "kind", "distribution"))
    return (same and ("file" in current) == ("file" in named)) or was_called(cls, named)


def was_called(cls: type, named: Named) -> bool:
    """Returns whether saved data names a class by one of its `former_names`."""
    former_names = vars(cls).get("former_names", ())
    if not former_names:
        return False
    name, home = named["class"], origin_of(cls)
    spellings = {f"{named['module']}.{name}"} if "module" in named else set()
    if "distribution" in named:
        spellings.add(f"{named['distribution']}:{name}")
        same_home = same_distribution(named["distribution"], home.get("distribution", ""))
    else:
        same_home = "file" in named and "file" in home
        if named.get("file"):
            spellings.add(f"{Path(named['file']).stem}.{name}")
    return any(
        former in spellings or (same_home and ":" not in former and former.split(".")[-1] == name)
        for former in former_names
    )
