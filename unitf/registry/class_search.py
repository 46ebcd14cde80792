"""The classes that saved data names, wherever their files lie by now."""

import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from unitf import registry
from unitf.errors import UserError, close_names
from unitf.registry import discovery
from unitf.registry.arguments import classes_of
from unitf.registry.class_names import (
    KEYS,
    Named,
    distribution_of,
    expected_class,
    file_of,
    is_distribution,
    place_of,
    same_distribution,
    was_called,
    with_subclasses,
)
from unitf.registry.definitions import defined
from unitf.registry.discovery import Record
from unitf.registry.kinds import KINDS


class MissingClassError(UserError):
    """A saved model needs a class that nothing installed or given has."""


def find_class(named: Named, base: type = object) -> type:
    """The class that saved data names; warns of a file that is another one by now.

    Args:
        base: what it must be a subclass of.

    Raises:
        MissingClassError: nothing that is installed or was given has it.
        UserError: it is there and broken, or its name means several classes.
    """
    cls = locate(named, base)
    if (line := change_of(named, cls)) is not None:
        warnings.warn(line, stacklevel=2)
    return cls


def find_class_of_argument(named: Named, owner: type, argument: str, base: type) -> type:
    """The class that saved data names, of what the constructor of `owner` was given.

    Raises:
        MissingClassError: as for `find_class`.
        UserError: as for `find_class`.
    """
    if not is_bare(named):
        return find_class(named, base)
    return locate_argument(named, owner, argument, base)


def is_bare(named: Named) -> bool:
    """Whether saved data names a class by nothing but its name."""
    return len(named.keys() & {*KEYS}) == 1


def locate(named: Named, base: type = object) -> type:
    """As `find_class`, without the warning."""
    if "distribution" in named:
        return _of_distribution(named, base)
    if "file" in named:
        return _of_file(named, base)
    return _of_module(named, base)


def locate_argument(named: Named, owner: type, argument: str, base: type) -> type:
    """As `find_class_of_argument`, where saved data has nothing but the name."""
    if (cls := expected_class(owner, argument, named["class"])) is not None:
        return cls
    place = place_of(owner)
    for cls in with_subclasses(classes_of(owner, argument)):
        if was_called(cls, {**named, **place}):
            return cls
    return locate({**named, **place}, base)


def change_of(named: Named, cls: type) -> str | None:
    """One line if the file of a class is not what it was when the model was saved."""
    place = place_of(cls)
    if "file" not in named or "file" not in place:
        return None
    was, now = named.get("sha256"), place["sha256"]
    if was is None or now is None or was == now:
        return None
    if named["file"] != place["file"]:
        files = [each["file"] or "a notebook" for each in (named, place)]
        return f"{cls.__qualname__} was saved from {files[0]} and is taken from {files[1]}"
    return f"{place['file'] or cls.__qualname__} has changed since the model was saved"


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
    """Those of modules that belong to plugins which could be loaded, and were to be."""
    tops = {module.partition(".")[0] for module in registry.modules()}
    return [module for module in modules if module.partition(".")[0] in tops]


def _by_former_name(entries: list[Record], named: Named) -> type | None:
    for entry in entries:
        if not entry.reason or entry.claimed:
            cls = registry.resolve(entry)
            if cls is not None and was_called(cls, named):
                return cls
    return None


def _only(found: Iterator[type], named: Named, base: type) -> type:
    """The one class among these that saved data names."""
    fitting = [
        cls
        for cls in dict.fromkeys(found)
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
    own = [entry for entry in entries if not is_distribution(entry.package)]
    modules = [m for m in list(sys.modules) if _holds(m, name) and distribution_of(m) is None]
    given = registry.modules()  # files that `--plugin` gave may have other names by now
    classes = [cls for entry in own if (cls := registry.resolve(entry)) is not None]
    classes += [_attribute(m, name) for m in modules if m in given or _is_called(m, file)]
    fitting = [
        cls
        for cls in dict.fromkeys(classes)
        if _fits(cls, named, base) and (cls.__qualname__ == name or was_called(cls, named))
    ]
    if (cls := _nearest(fitting, named)) is not None:
        return cls
    if (cls := _by_former_name([e for e in entries if e not in own], named)) is not None:
        return cls
    raise MissingClassError(f"the saved model needs {_missing(named)}")


def _nearest(classes: list[type], named: Named) -> type | None:
    """The class of a file that holds the same; else of one that is called so; else of any."""
    places = {cls: place for cls in classes if "file" in (place := place_of(cls))}
    for key in ("sha256", "file", None):
        for cls, place in places.items():
            if key is None or (place[key] == named.get(key) and (place[key] or key == "file")):
                return cls
    return None


def _holds(module: str, name: str) -> bool:
    return isinstance(_attribute(module, name), type)


def _attribute(module: str, name: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    return found if getattr(found, "__module__", None) == module else None


def _is_called(module: str, file: str | None) -> bool:
    path = file_of(module)
    return module == "__main__" if file is None else path is not None and path.name == file


def _of_module(named: Named, base: type) -> type:
    """A class that format 1 named by a module that is no installed plugin's; not imported."""
    module, name = named["module"], named["class"]
    cls = _attribute(module, name)
    if isinstance(cls, type) and _fits(cls, named, base):
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
    """What is not there, and who had it."""
    what = _what(named)
    if "module" in named:
        module = named["module"]
        hint = "" if "." in module else f" (if {module}.py is a file: unitf --plugin {module}.py …)"
        return f"{what} of {module}, which no installed plugin has{hint}"
    if named.get("file"):
        file = named["file"]
        return f"{what} of the file {file}, which was not given: unitf --plugin {file} …"
    if "distribution" not in named:
        return f"{what} of a notebook: define it there, with @unitf.register, before it is loaded"
    return f"{what} of the package {_absent(named, what)}"


def _absent(named: Named, what: str) -> str:
    package, name = named["distribution"], named["class"]
    homes = [home for home in registry.homes().values() if same_distribution(home.package, package)]
    if not homes:
        told = f"{package} {named.get('version') or ''}".strip()
        try:
            found = version(package)
        except PackageNotFoundError:
            return f"{told}, which is not installed: pip install {package}"
        return f"{told}; {package} {found} is installed and brings no plugin of unitf"
    for record in registry.records():
        if not record.kind and record.reason and same_distribution(record.package, package):
            return f"{package}, which is broken: {record.reason}"
    kind, told = named.get("kind"), f"{package} {homes[0].version}"
    entries = registry.entries_of(kind) if kind else []
    names = [entry.name for entry in entries if same_distribution(entry.package, package)]
    if kind and not names and discovery.wanted_plugins() is not None:
        return f"{package}, which UNITF_PLUGINS leaves out"
    near = close_names(name, names)
    return f"{told}, which has no {name}" + (f"; near: {', '.join(near)}" if near else "")
