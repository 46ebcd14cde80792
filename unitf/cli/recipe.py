"""Checks a recipe (YAML) before the parser reads it: its syntax, and the names of classes."""

import math
import re
from collections.abc import Hashable, Iterator
from pathlib import Path
from pkgutil import resolve_name

import yaml

from unitf import registry
from unitf.cli.notation import long_form
from unitf.cli.yaml_values import PlainLoader
from unitf.errors import UserError, close_names, suggestion
from unitf.limits import limits
from unitf.registry.kinds import KINDS

_LARGEST = 1_000_000  # characters


class StrictLoader(PlainLoader):
    """A safe YAML loader that refuses a key given twice, and aliases that multiply.

    An error in a value names the line.
    """

    def get_single_node(self) -> yaml.Node | None:
        root = super().get_single_node()
        if root is not None and _num_values(root, {}) > (most := limits().recipe_values):
            problem = f"aliases (*name) make more than {most:,.0f} values, expected a recipe"
            raise yaml.constructor.ConstructorError(None, None, problem, root.start_mark)
        return root

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, ArithmeticError) as error:
            kind = node.tag.rpartition(":")[2]  # a malformed date or number
            raise yaml.constructor.ConstructorError(
                None, None, f"{str(node.value)[:60]!r} is no {kind} ({error})", node.start_mark
            ) from error

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, object]:
        seen: set[Hashable] = set()
        for key, _ in node.value:
            name = self.key(key)
            if not isinstance(name, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, f"found the key {name!r}, expected a word", key.start_mark
                )
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name!r} stands here twice", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


def _num_values(node: yaml.Node, counted: dict[int, int | float]) -> int | float:
    """Returns the number of values of a node, each alias counted as what it stands for."""
    if id(node) not in counted:
        counted[id(node)] = math.inf  # of an alias within what it stands for
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            parts = node.value
        counted[id(node)] = 1 + sum(_num_values(part, counted) for part in parts)
    return counted[id(node)]


def check_recipes(argv: list[str]) -> None:
    """Checks the files that a command line gives with `--config`.

    Raises:
        UserError: a file is missing, is not YAML, gives a key twice, or names a class that is not
            installed. The message is one line; it names the location and similar names.
    """
    for file in files_of(argv):
        recipe = read_recipe(file)
        for kind, row in KINDS.items():
            if row.recipe_key:
                for location, path in _class_paths_at(recipe, row.recipe_key.split(".")):
                    _check_class(kind, path, f"{file}: {location}")


def mentioned_names(argv: list[str]) -> set[str]:
    """Returns all words of a command line and its recipes that may be the name of a class."""
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files_of(argv)]
    return set(re.findall(r"[^\W\d]\w*", " ".join([*argv, *texts])))


def _class_paths_at(
    value: object, keys: list[str], location: str = ""
) -> Iterator[tuple[str, str]]:
    """Yields the class paths that a recipe has below some keys, each with its location."""
    if keys:
        if isinstance(value, dict):
            names = value if keys[0] == "*" else [name for name in value if name == keys[0]]
            for name in names:
                yield from _class_paths_at(value[name], keys[1:], f"{location}.{name}".lstrip("."))
    elif isinstance(value, list):
        for item in value:
            yield from _class_paths_at(item, [], location)
    else:
        path = value.get("class_path") if isinstance(value, dict) else value
        if isinstance(path, str):
            yield location, path


def _check_class(kind: str, path: str, location: str) -> None:
    try:
        if KINDS[kind].foreign and path not in registry.names(kind):
            _check_foreign(kind, path)
        else:
            registry.find(kind, path)
    except UserError as error:
        hint = "; a class of your own that no package has: unitf --plugin FILE.py fit …"
        may_be_unregistered = "." in path or KINDS[kind].foreign
        raise UserError(f"{location}: {error}{hint if may_be_unregistered else ''}") from error


def _check_foreign(kind: str, name: str) -> None:
    """Checks a short name of a kind that also has classes that nobody registered."""
    if "." in name:  # the parser checks whether the path is allowed
        return
    known = {cls.__name__ for base in KINDS[kind].bases for cls in _subclasses(resolve_name(base))}
    if name not in known:
        close = close_names(name, known)
        raise UserError(
            f"no {KINDS[kind].one} is called {name!r}; "
            + (suggestion(close) if close else f"known: {', '.join(sorted(known))}")
        )


def _subclasses(base: type) -> Iterator[type]:
    for cls in base.__subclasses__():
        yield cls
        yield from _subclasses(cls)


def read_recipe(file: Path) -> dict[str, object]:
    """Reads a recipe from a YAML file, in any notation; returns it in the long one.

    Raises:
        UserError: the file cannot be read, is not YAML, or is not a recipe.
    """
    recipe = load_recipe(file)
    try:
        return long_form(recipe)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error


def load_recipe(file: Path) -> dict[str, object]:
    """Reads a recipe from a YAML file, and returns it in the notation in which it is written.

    Raises:
        UserError: the file cannot be read, is not YAML, or is not a recipe.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"--config {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"--config {file}: not UTF-8 text") from error
    if len(text) > _LARGEST:
        raise UserError(f"--config {file}: {len(text):,} characters, expected a recipe")
    try:
        recipe = yaml.load(text, Loader=StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{file}{line}: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{file}: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise UserError(f"{file}: brackets or blocks lie too deep, expected a recipe") from error
    if recipe is not None and not isinstance(recipe, dict):
        raise UserError(f"{file}: expected `model:`, `data:` and `trainer:`, found {type(recipe)}")
    return recipe or {}


def files_of(argv: list[str]) -> Iterator[Path]:
    """Yields the files that a command line gives with `--config`, in their order."""
    for index, word in enumerate(argv):
        option, equals, value = word.partition("=")
        if option not in ("--config", "-c"):
            continue
        if equals:
            yield Path(value)
        elif index + 1 < len(argv):
            yield Path(argv[index + 1])


def configured(argv: list[str], key_path: str) -> object:
    """Returns the value of a key such as `model.pretrained` in a command line and its recipes.

    The last value counts; None if there is none.
    """
    value: object = None
    files = files_of(argv)
    for number, word in enumerate(argv):
        option, equals, text = word.partition("=")
        if option in ("--config", "-c"):
            nested: object = read_recipe(next(files))
            for key in key_path.split("."):
                if not isinstance(nested, dict) or key not in nested:
                    break
                nested = nested[key]
            else:  # a later file may set it to null
                value = nested
        elif option == f"--{key_path}":
            value = text if equals else argv[number + 1] if number + 1 < len(argv) else None
    return None if value in ("null", "") else value
