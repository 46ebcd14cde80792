"""Finds classes by name in all files of a package."""

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path


def defined(modules: Iterable[str], name: str) -> Iterator[type]:
    """Yields the classes called `name`, now or formerly, in these modules and their packages.

    A file is imported only if its text defines the class, or has the name after `former_names`.
    """
    first = re.escape(name.partition(".")[0])
    former = rf"\bformer_names\b(?s:.*?)[\"'][\w.:-]*?\b{re.escape(name)}[\"']"
    wanted = re.compile(rf"^[ \t]*class {first}\b|{former}", re.M)
    for module, file in dict(_files(modules)).items():
        text = file.read_text(encoding="utf-8", errors="replace")
        if name.rpartition(".")[2] in text and wanted.search(text):
            yield from _classes(module, name)


def _files(modules: Iterable[str]) -> Iterator[tuple[str, Path]]:
    for root in dict.fromkeys(_root(module) for module in modules):
        spec = _spec(root)
        if spec is None:
            continue
        if spec.origin is not None and spec.origin.endswith(".py"):
            yield root, Path(spec.origin)
        for folder in spec.submodule_search_locations or ():
            for file in sorted(Path(folder).rglob("*.py")):
                parts = file.relative_to(folder).with_suffix("").parts
                if parts[-1] != "__init__" and all(part.isidentifier() for part in parts):
                    yield ".".join([root, *parts]), file
                elif len(parts) > 1 and all(part.isidentifier() for part in parts):
                    yield ".".join([root, *parts[:-1]]), file


def _root(module: str) -> str:
    """Returns the top package; or `module`, if packages share the top (a namespace package)."""
    top = module.partition(".")[0]
    spec = _spec(top)
    return top if spec is not None and spec.origin is not None else module


def _spec(module: str) -> ModuleSpec | None:
    try:
        return find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None


def _classes(module: str, name: str) -> Iterator[type]:
    loaded = import_module(module)
    for value in list(vars(loaded).values()):
        if isinstance(value, type) and value.__module__ == module:
            yield value
    value: object = loaded
    for part in name.split("."):
        value = getattr(value, part, None)
    if isinstance(value, type) and value.__module__ == module and "." in name:
        yield value
