"""Finds the classes that saved data names, also where their files have moved since."""

import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from unitf import registry
from unitf.errors import UserError, close_names, suggestion
from unitf.registry import discovery
from unitf.registry.arguments import classes_of
from unitf.registry.class_names import (
    KEYS,
    Named,
    distribution_of,
    expected_class,
    file_of,
    is_distribution,
    origin_of,
    same_distribution,
    was_called,
    with_subclasses,
)
from unitf.registry.definitions import defined
from unitf.registry.discovery import Record
from unitf.registry.kinds import KINDS


class MissingClassError(UserError):
    """A saved model needs a class that no installed package and no `--plugin` file has."""


def find_class(named: Named, base: type = object) -> type:
    """Returns the class that saved data names, and warns if its file has changed since.

    Args:
        base: the class must be a subclass of `base`.

    Raises:
        MissingClassError: no installed package and no given file has the class.
        UserError: the class is broken, or its name means several classes.
    """
    cls = locate(named, base)
    if (line := change_of(named, cls)) is not None:
        warnings.warn(line, stacklevel=2)
    return cls


def find_class_of_argument(named: Named, owner: type, argument: str, base: type) -> type:
    """Returns the class that saved data names, for an argument of the constructor of `owner`.

    Raises:
        MissingClassError: as for `find_class`.
        UserError: as for `find_class`.
    """
    if not is_bare(named):
        return find_class(named, base)
    return locate_argument(named, owner, argument, base)


def is_bare(named: Named) -> bool:
    """Returns whether saved data names a class by its name alone."""
    return len(named.keys() & {*KEYS}) == 1


def locate(named: Named, base: type = object) -> type:
    """Does the same as `find_class`, without the warning."""
    if "distribution" in named:
        return _of_distribution(named, base)
    if "file" in named:
        return _of_file(named, base)
    return _of_module(named, base)


def locate_argument(named: Named, owner: type, argument: str, base: type) -> type:
    """Does the same as `find_class_of_argument`, where saved data has the name alone."""
    if (cls := expected_class(owner, argument, named["class"])) is not None:
        return cls
    home = origin_of(owner)
    for cls in with_subclasses(classes_of(owner, argument)):
        if was_called(cls, {**named, **home}):
            return cls
    return locate({**named, **home}, base)


def change_of(named: Named, cls: type) -> str | None:
    """Returns a warning if the file of a class has changed since the model was saved, else None."""
    home = origin_of(cls)
    if "file" not in named or "file" not in home:
        return None
    saved_hash, current_hash = named.get("sha256"), home["sha256"]
    if saved_hash is None or current_hash is None or saved_hash == current_hash:
        return None
    if named["file"] != home["file"]:
        files = [each["file"] or "a notebook" for each in (named, home)]
        return f"{cls.__qualname__} was saved from {files[0]} and is taken from {files[1]}"
    return f"{home['file'] or cls.__qualname__} has changed since the model was saved"


def _of_distribution(named: Named, base: type) -> type:
    kind, name, package = named.get("kind"), named["class"], named["distribution"]
    entries = [e for e in registry.entries_of(kind) if e.package] if kind else []
    for entry in entries:
        if entry.name == name and same_distribution(entry.package, package):
            if (cls := registry.resolve(entry)) is not None:
                return cls
            raise UserError(f"{_what(named)} of {entry.owner} is broken: {entry.reason}")
    if (cls := _by_former_name(entries, named)) is not None:
        return cls
    modules = [
        m for m, home in registry.homes().items() if same_distribution(home.package, package)
    ]
    return _only(defined(_loaded(modules), name), named, base)


def _loaded(modules: list[str]) -> list[str]:
    """Returns those of the modules that belong to loaded plugins."""
    tops = {module.partition(".")[0] for module in registry.modules()}
    return [module for module in modules if module.partition(".")[0] in tops]


def _by_former_name(entries: list[Record], named: Named) -> type | None:
    for entry in entries:
        if not entry.reason or entry.claimed:
            cls = registry.resolve(entry)
            if cls is not None and was_called(cls, named):
                return cls
    return None


def _only(candidates: Iterator[type], named: Named, base: type) -> type:
    """Returns the one class among the candidates that saved data names."""
    fitting = [
        cls
        for cls in dict.fromkeys(candidates)
        if _fits(cls, named, base)
        and (cls.__qualname__ == named["class"] or was_called(cls, named))
    ]
    exact = [cls for cls in fitting if cls.__qualname__ == named["class"]] or fitting
    if not exact:
        raise MissingClassError(f"the saved model needs {_missing(named)}")
    if len(exact) > 1:
        paths = " and ".join(map(discovery.class_path, exact))
        raise UserError(f"the saved model needs {_what(named)}, which may be {paths}")
    return exact[0]


def _fits(cls: type, named: Named, base: type) -> bool:
    kind = named.get("kind")
    return issubclass(cls, base) and not (kind and discovery.fault(kind, cls))


def _of_file(named: Named, base: type) -> type:
    kind, name, file = named.get("kind"), named["class"], named["file"]
    entries = registry.entries_of(kind) if kind else []
    of_files = [entry for entry in entries if not is_distribution(entry.package)]
    plugin_modules = registry.modules()  # a `--plugin` file may have another name than before
    imported: list[type] = []
    for module in list(sys.modules):
        cls = _class_in(module, name)
        if cls is None or distribution_of(module) is not None:
            continue
        if module in plugin_modules or _is_called(module, file):
            imported.append(cls)
    registered = [cls for entry in of_files if (cls := registry.resolve(entry)) is not None]
    fitting = [
        cls
        for cls in dict.fromkeys([*registered, *imported])
        if _fits(cls, named, base) and (cls.__qualname__ == name or was_called(cls, named))
    ]
    if (cls := _nearest(fitting, named)) is not None:
        return cls
    if (cls := _by_former_name([e for e in entries if e not in of_files], named)) is not None:
        return cls
    raise MissingClassError(f"the saved model needs {_missing(named)}")


def _nearest(classes: list[type], named: Named) -> type | None:
    """Returns the class of a file with the same text; else the same name; else of any file."""
    homes = {cls: home for cls in classes if "file" in (home := origin_of(cls))}
    for key in ("sha256", "file", None):
        for cls, home in homes.items():
            if key is None or (home[key] == named.get(key) and (home[key] or key == "file")):
                return cls
    return None


def _class_in(module: str, name: str) -> type | None:
    """Returns the class that an imported module defines under a (dotted) name, or None."""
    value: object = sys.modules.get(module)
    for part in name.split("."):
        value = vars(value).get(part) if hasattr(value, "__dict__") else None
    return value if isinstance(value, type) and value.__module__ == module else None


def _is_called(module: str, file: str | None) -> bool:
    path = file_of(module)
    return module == "__main__" if file is None else path is not None and path.name == file


def _of_module(named: Named, base: type) -> type:
    """Returns a class that format 1 named by a module of no installed plugin; imports nothing."""
    module, name = named["module"], named["class"]
    cls = _class_in(module, name)
    if cls is not None and _fits(cls, named, base):
        return cls
    entries = registry.entries_of(named["kind"]) if named.get("kind") else []
    if (cls := _by_former_name(entries, named)) is not None:
        return cls
    raise MissingClassError(f"the saved model needs {_missing(named)}")


# ---- what is missing ---------------------------------------------------------------------


def _what(named: Named) -> str:
    kind = named.get("kind")
    return f"the {KINDS[kind].one if kind in KINDS else 'class of settings'} {named['class']}"


def _missing(named: Named) -> str:
    """Describes the missing class and the package or file that had it."""
    what = _what(named)
    if "module" in named:
        module = named["module"]
        hint = "" if "." in module else f" (if {module}.py is a file: unitf --plugin {module}.py …)"
        return f"{what} of {module}, which no installed plugin has{hint}"
    if named.get("file"):
        file = named["file"]
        module = file.removesuffix(".py")
        python = f"in Python: import {module}; unitf.register({module}.{named['class']})"
        return f"{what} of the file {file}, which was not given: unitf --plugin {file} … ({python})"
    if "distribution" not in named:
        return f"{what} of a notebook: define it there, with @unitf.register, before it is loaded"
    return f"{what} of the package {_absent(named, what)}"


def _absent(named: Named, what: str) -> str:
    package, name = named["distribution"], named["class"]
    homes = [home for home in registry.homes().values() if same_distribution(home.package, package)]
    if not homes:
        saved_with = f"{package} {named.get('version') or ''}".strip()
        try:
            installed = version(package)
        except PackageNotFoundError:
            return f"{saved_with}, which is not installed: pip install {package}"
        return f"{saved_with}; {package} {installed} is installed and brings no plugin of unitf"
    for record in registry.records():
        if not record.kind and record.reason and same_distribution(record.package, package):
            return f"{package}, which is broken: {record.reason}"
    kind = named.get("kind")
    entries = registry.entries_of(kind) if kind else []
    names = [entry.name for entry in entries if same_distribution(entry.package, package)]
    if kind and not names and discovery.wanted_plugins() is not None:
        return f"{package}, which UNITF_PLUGINS leaves out"
    near = close_names(name, names)
    return f"{package} {homes[0].version}, which has no {name}" + (
        f"; {suggestion(near)}" if near else ""
    )
