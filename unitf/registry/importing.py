"""Imports plugin files, and finds classes and modules by their names."""

import ast
import hashlib
import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import ModuleType

from unitf.errors import UserError
from unitf.registry.plugin_errors import one_line


def import_file(path: Path) -> ModuleType:
    """Imports a file as a module of the file's name, so that spawned data workers can do the same.

    Raises:
        UserError: there is no such file, or its name cannot be imported or is taken.
    """
    path = path.resolve()
    if not path.is_file():
        raise UserError("there is no such file")
    if not path.stem.isidentifier() or path.suffix != ".py":
        raise UserError(f"expected a name that Python can import (my_plugin.py), found {path.name}")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, so that it hides no other module
    module = import_module(path.stem)
    taken_by = getattr(module, "__file__", None) or "Python"
    if Path(taken_by).resolve() != path:
        raise UserError(f"the name {path.stem} is taken by {taken_by}: rename the file")
    content_hash(module)  # read now, before somebody changes the file
    return module


@cache
def content_hash(module: ModuleType) -> str | None:
    """Returns the SHA-256 of a module's file at the first call; None if the file cannot be read."""
    try:
        return hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()
    except OSError:
        return None


def absence(module: str, name: str) -> str:
    """Returns why module:name cannot exist; empty if it may exist.

    The source is parsed and not imported.
    """
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


def first_paragraph(module: str, name: str) -> str:
    """Returns the first paragraph of a class's docstring, in one line; "" if it has none.

    The source is parsed and not imported. A module that takes the class from another one of its
    package, as an `__init__.py` does, is followed.
    """
    with suppress(Exception):
        spec = _specification(module)
        origin = "" if spec is None else str(spec.origin)
        if not origin.endswith(".py"):
            return ""
        tree = ast.parse(Path(origin).read_bytes(), origin)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == name:
                return " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
            if isinstance(node, ast.ImportFrom) and name in [each.name for each in node.names]:
                package = module if origin.endswith("__init__.py") else module.rpartition(".")[0]
                source = resolve_name("." * node.level + (node.module or ""), package)
                return first_paragraph(source, name)
    return ""


def _specification(module: str) -> ModuleSpec | None:
    """Returns the spec of a module; unlike `find_spec` it imports none of its parent packages."""
    top, *rest = module.split(".")
    spec, name = find_spec(top), top
    for part in rest:
        if spec is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, spec.submodule_search_locations or [])
    return spec
