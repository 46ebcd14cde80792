"""Finds the mistakes in a recipe: each is a key, what was found there and what was expected."""

import difflib
import inspect
import json
import math
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Union

from unitf import registry
from unitf.cli.argument_types import (
    OBJECT,
    Argument,
    arguments_of,
    factory,
    fits,
    in_words,
    is_class,
    is_open,
    is_settings,
    items_of,
    near,
    options,
)
from unitf.cli.class_lookup import kinds_of, present
from unitf.cli.owners import FOREIGN
from unitf.core.config import TransformerConfig
from unitf.core.named import FIELDS, NUM_POSITIONAL
from unitf.errors import close_names, did_you_mean, suggestion
from unitf.registry.class_names import distribution_of, with_subclasses

Keys = tuple[str, ...]
# no class takes such an argument in another sense
_PROBABILITY = re.compile(r"(^|_)(dropout|probability|label_smoothing|mask_ratio)$")


@dataclass(frozen=True)
class Fault:
    """A mistake in a recipe.

    Args:
        keys: where it is.
        text: what was found, what was expected, and what is near.
        accepted: whether the parser does not notice it.
    """

    keys: Keys
    text: str
    accepted: bool = False

    @property
    def line(self) -> str:
        """The mistake as a message."""
        return f"{'.'.join(self.keys)}: {self.text}"


class RecipeFaults:
    """Walks through recipes beside the classes that take their values.

    Args:
        owners: the classes that take the arguments of a recipe's parts.
        others: the other keys of a recipe.
    """

    def __init__(self, owners: Mapping[str, type], others: Sequence[str]) -> None:
        self.owners: Mapping[str, type] = owners
        self.others: Sequence[str] = others
        self.classes: dict[Keys, type] = {}  # location of arguments → the class that takes them
        self.written: Callable[[Keys], Keys] = tuple  # keys as the file has them, for messages
        self._known: dict[str, list[Keys]] = {}  # name of a key → where such keys are

    def of(self, recipe: Mapping[str, object], partial: bool = False) -> Iterator[Fault]:
        """Yields the mistakes in a recipe; a `partial` one may lack what is required."""
        for keys in _keys_of(recipe):
            self._know(keys)
        for part, value in recipe.items():
            if part in self.owners:
                yield from self._arguments(self.owners[part], value, (part,), 0, partial)
            elif part not in self.others:
                yield Fault(
                    (str(part),), self._unknown(str(part), [*self.owners, *self.others], ())
                )

    def _arguments(
        self, cls: type, value: object, keys: Keys, taken: int, partial: bool
    ) -> Iterator[Fault]:
        """Yields the mistakes in the arguments of a class.

        Args:
            taken: how many of the first arguments the recipe does not give.
        """
        self.classes[keys] = cls
        if not isinstance(value, dict):
            expected = f"a dictionary with the arguments of {cls.__name__}"
            yield Fault(keys, f"found {shown(value)}, expected {expected}")
            return
        if (arguments := arguments_of(cls)) is None:
            return
        accepted = dict(list(arguments.items())[taken:])
        self._index(accepted, keys)
        for key, item in value.items():
            if key not in accepted:
                yield Fault((*keys, str(key)), self._unknown(str(key), accepted, keys))
            elif cls is TransformerConfig and key in FIELDS and isinstance(item, dict):
                yield from self._part(FIELDS[key], item, (*keys, key))
            else:
                yield from self._argument(accepted[key], item, (*keys, key))
        for name, argument in accepted.items():
            if argument.is_required and name not in value and not partial:
                yield Fault((*keys, name), f"is missing, expected {in_words(argument.annotation)}")

    def _part(self, kind: str, value: Mapping[str, object], keys: Keys) -> Iterator[Fault]:
        """Yields the mistakes in the arguments of a part of the core; its name is checked there."""
        cls = present(str(value.get("class_path")), [], [kind])
        if cls is not None and isinstance(value.get("init_args"), dict):
            keys = (*keys, "init_args")
            yield from self._arguments(cls, value["init_args"], keys, NUM_POSITIONAL[kind], False)

    def _index(self, accepted: Mapping[str, Argument], keys: Keys) -> None:
        for name, argument in accepted.items():
            self._know((*keys, name))
            for option in options(argument.annotation):
                nested = arguments_of(option) if is_settings(option) else None
                for inner in nested or ():
                    self._know((*keys, name, inner))

    def _know(self, keys: Keys) -> None:
        locations = self._known.setdefault(keys[-1], [])
        if keys not in locations:
            locations.append(keys)

    def _unknown(
        self, name: str, accepted: Sequence[str] | Mapping[str, object], keys: Keys = ()
    ) -> str:
        """Returns what is wrong with a key that is not accepted below `keys`."""
        elsewhere = [each for each in self._known.get(name, ()) if each != (*keys, name)]
        if elsewhere:
            names = [".".join(self.written(each)) for each in elsewhere[:3]]
            return f"there is no such key; {suggestion(names)}"
        if close := close_names(name, accepted):
            return f"there is no such key; {suggestion(close)}"
        others = [key for key in self._known if key != name]
        if close := difflib.get_close_matches(name, others, n=1, cutoff=0.75):
            nearest = ".".join(self.written(self._known[close[0]][0]))
            return f"there is no such key; {suggestion([nearest])}"
        known = [*accepted]
        shown_names = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
        return f"there is no such key; expected one of {shown_names or 'none'}"

    def _argument(self, argument: Argument, value: object, keys: Keys) -> Iterator[Fault]:
        if value is None:
            if not argument.may_be_missing():
                expected = in_words(argument.annotation)
                yield Fault(keys, f"found nothing, expected {expected}", accepted=True)
        elif _has_nan(value):
            expected = in_words(argument.annotation)
            yield Fault(keys, f"found {shown(value)}, expected {expected}", accepted=True)
        elif _PROBABILITY.search(argument.name) and _is_outside(value):
            expected = "a number from 0 to 1"
            yield Fault(keys, f"found {shown(value)}, expected {expected}", accepted=True)
        else:
            yield from self._value(argument.annotation, value, keys)

    def _value(self, annotation: object, value: object, keys: Keys) -> Iterator[Fault]:
        """Yields the mistakes in a value of an argument, or in an item of one."""
        alternatives = options(annotation)
        objects = [(made, 0) for made in alternatives if is_class(made)]
        for option in alternatives:
            if (made := factory(option)) is not None:
                objects += [(each, made[1]) for each in made[0] if is_class(each)]
        settings = [cls for cls, _ in objects if is_settings(cls)]
        takes_keys = settings or any(items_of(o, {}, ()) is not None for o in alternatives)
        is_named = isinstance(value, dict) and (bool({*OBJECT} & {*value}) or not takes_keys)
        if objects and (is_named or (isinstance(value, str) and str not in alternatives)):
            yield from self._object(objects, value, keys)
            return
        if isinstance(value, dict) and settings:
            classes = [cls for cls, _ in objects]
            if (line := _misspelt(value, settings[0], classes)) is not None:
                yield Fault(keys, line)
            else:
                yield from self._arguments(settings[0], value, keys, 0, False)
            return
        for option in alternatives:
            if (items := items_of(option, value, keys)) is not None:
                for inner, item, location in items:
                    argument = Argument("", inner, inspect.Parameter.empty)
                    yield from self._argument(argument, item, location)
                return
        argument = Argument("", annotation, inspect.Parameter.empty)
        if not is_open(argument) and not any(fits(option, value) for option in alternatives):
            expected = in_words(annotation)
            yield Fault(keys, f"found {shown(value)}, expected {expected}{near(value, annotation)}")

    def _object(
        self, objects: list[tuple[type, int]], value: object, keys: Keys
    ) -> Iterator[Fault]:
        """Yields the mistakes in an object: `class_path` and `init_args`, or a name alone."""
        settings = value if isinstance(value, dict) else {"class_path": value}
        named = (*keys, "class_path") if isinstance(value, dict) else keys
        classes = [each for each, _ in objects]
        kind = in_words(Union[tuple(classes)])  # noqa: UP007
        if (fault := self._no_object(settings, classes, keys)) is not None:
            yield fault
            return
        path = settings.get("class_path")
        if not isinstance(path, str):
            found = f"found {shown(path)}" if "class_path" in settings else "is missing"
            found, named = (found, named) if settings else ("is empty", keys)
            yield Fault(named, f"{found}, expected the name of {kind}")
            return
        if (cls := present(path, classes, kinds_of(classes))) is None:
            yield Fault(keys, _no_class(path, classes, kinds_of(classes)))
        elif not issubclass(cls, tuple(classes)):
            yield Fault(keys, f"found {path}, expected {kind}")
        else:
            taken = next(number for base, number in objects if issubclass(cls, base))
            arguments = settings.get("init_args", {})
            yield from self._arguments(cls, arguments, (*keys, "init_args"), taken, False)

    def _no_object(
        self, settings: Mapping[str, object], classes: list[type], keys: Keys
    ) -> Fault | None:
        """Returns what is wrong with the keys of an object; None: they are those of one."""
        others = [str(key) for key in settings if key not in OBJECT]
        if not others:
            return None
        if len(others) < len(settings) or close_names(others[0], OBJECT):
            return Fault((*keys, others[0]), self._unknown(others[0], OBJECT[:2], keys))
        if len(others) == 1:
            return Fault(keys, _no_class(others[0], classes, kinds_of(classes)))
        found = ", ".join(others[:4]) + (", …" if len(others) > 4 else "")
        expected = "the name of one class, with its arguments below it"
        return Fault(keys, f"found the keys {found}, expected {expected}")


def _has_nan(value: object) -> bool:
    """Returns whether a value is no number, or a list with such an item."""
    if isinstance(value, list):
        return any(map(_has_nan, value))
    return isinstance(value, float) and math.isnan(value)


def _is_outside(value: object) -> bool:
    """Returns whether a number cannot be a probability."""
    return isinstance(value, int | float) and not 0 <= value <= 1


def _keys_of(value: object, keys: Keys = ()) -> Iterator[Keys]:
    """Yields all keys of a recipe."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*keys, str(key))
            yield from _keys_of(item, (*keys, str(key)))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _keys_of(item, (*keys, str(number)))


def _misspelt(value: Mapping[str, object], settings: type, classes: list[type]) -> str | None:
    """Returns what is wrong with the only key of settings, if it resembles the name of a class."""
    name = str(next(iter(value), ""))
    if len(value) != 1 or name in (arguments_of(settings) or {name: None}):
        return None
    close = close_names(name, [cls.__name__ for cls in with_subclasses(classes)])
    return _no_class(name, classes, kinds_of(classes)) if close else None


def _no_class(path: str, classes: list[type], kinds: list[str]) -> str:
    """Returns what is wrong with the name of a class that is not found."""
    module, _, name = path.rpartition(".")
    known = {cls.__name__ for cls in with_subclasses(classes)}
    known |= {entry for kind in kinds for entry in registry.names(kind)}
    close = close_names(name, sorted(known))
    if module in FOREIGN or distribution_of(module) is not None:
        here = vars(sys.modules[module]) if module in sys.modules else {}
        names = [each for each in here if each[:1].isupper()] or known
        return f"{module} has no {name}{did_you_mean(name, names)}"
    if module:
        return (
            f"found {path[:60]}, expected a class of unitf, of a plugin, or of "
            f"{', '.join(FOREIGN)}; a file of your own is loaded with --plugin FILE"
        )
    names = ", ".join(sorted(known)[:12]) + (", …" if len(known) > 12 else "")
    hint = suggestion(close) if close else f"expected one of {names}"
    return f"no class is called {name[:80]!r}; {hint}"


def shown(value: object) -> str:
    """Returns a value as a recipe has it, in at most 60 characters."""
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return textwrap.shorten(text, 60, placeholder="…") or "an empty text"
