"""Classes of a name, wherever in a package they are defined."""

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path


def defined(modules: Iterable[str], name: str) -> Iterator[type]:
    """The classes that are called `name`, or once were, in these modules and their packages.

    Only a file is imported whose text defines the class, or names it beside `former_names`.
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
    """The outermost package that is a distribution's own: a namespace package is shared."""
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
    found: object = loaded
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type) and found.__module__ == module and "." in name:
        yield found
