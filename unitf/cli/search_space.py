"""What `unitf search` tries: for each key of a recipe its choices, or a range of numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

from unitf.cli.argument_types import Keys
from unitf.cli.long_words import parsed
from unitf.cli.merging import node_at
from unitf.cli.recipe import load_recipe
from unitf.cli.yaml_values import in_one_line, plain_value
from unitf.errors import UserError, close_names, did_you_mean, suggestion

PlainSpace: TypeAlias = Mapping[str, object]
"""By key such as `model.core.dim` a list of choices, or `{low: …, high: …, log: true}`."""
_BOUNDS = ("low", "high", "log")


@dataclass(frozen=True)
class SearchRange:
    """The numbers from `low` to `high`, both included; whole ones, if both are whole.

    Args:
        log: whether they are drawn evenly by their logarithm.
    """

    low: int | float
    high: int | float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            above = " above 0" if self.log else ""
            raise UserError(
                f"found low {self.low} and high {self.high}, expected low{above} and below high"
            )

    @property
    def is_whole(self) -> bool:
        """Whether the numbers are whole."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def widened(self, value: object) -> "SearchRange | None":
        """Returns the range with a value in it; None: the value is no number."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        number = round(value) if self.is_whole else float(value)
        return SearchRange(min(self.low, number), max(self.high, number), self.log)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}" + (" by their logarithm" if self.log else "")


@dataclass(frozen=True)
class SearchChoices:
    """Values of any kind, as texts of YAML in one line."""

    texts: tuple[str, ...]

    def widened(self, value: object) -> "SearchChoices":
        """Returns the choices with a value among them."""
        text = in_one_line(plain_value(value))
        return self if text in self.texts else SearchChoices((text, *self.texts))

    def __str__(self) -> str:
        return ", ".join(self.texts)


Space: TypeAlias = dict[str, SearchRange | SearchChoices]


def read_space(file: Path) -> PlainSpace:
    """Reads a file of a space.

    Raises:
        UserError: it cannot be read, or is not YAML.
    """
    try:
        space = load_recipe(file)
    except UserError as error:
        raise UserError(str(error).replace("--config", "--space")) from error
    if not space:
        raise UserError(f"--space {file}: it is empty, expected keys of the recipe with choices")
    return {key: plain_value(value) for key, value in space.items()}


def to_space(space: PlainSpace, location: str) -> Space:
    """Returns a space of plain data.

    Args:
        space: choices or a range by key.
        location: where it stands, for the message.

    Raises:
        UserError: an entry is neither a list of choices nor a range.
    """
    made: Space = {}
    for key, value in space.items():
        try:
            made[key] = _entry(value)
        except UserError as error:
            raise UserError(f"{location}: {key}: {error}") from error
    return made


def _entry(value: object) -> SearchRange | SearchChoices:
    expected = "expected a list of choices, or {low: …, high: …, log: true}"
    if isinstance(value, list):
        texts = tuple(dict.fromkeys(map(in_one_line, value)))
        if not texts:
            raise UserError(f"found no choice, {expected}")
        return SearchChoices(texts)
    if not isinstance(value, dict):
        raise UserError(f"found {in_one_line(value)}, {expected}")
    for name in value:
        if name not in _BOUNDS:
            close = close_names(name, _BOUNDS)
            raise UserError(f"found {name}; {suggestion(close) if close else expected}")
    numbers = [value.get("low"), value.get("high")]
    log = value.get("log", False)
    if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers):
        raise UserError(f"found {in_one_line(value)}, {expected}")
    if not isinstance(log, bool):
        raise UserError(f"log: found {in_one_line(log)}, expected true or false")
    low, high = cast("list[int | float]", numbers)
    return SearchRange(low, high, log)


def as_plain(space: Space) -> dict[str, object]:
    """Returns a space as `to_space` reads it."""
    return {
        key: [parsed(text) for text in entry.texts]
        if isinstance(entry, SearchChoices)
        else {"low": entry.low, "high": entry.high, "log": entry.log}
        for key, entry in space.items()
    }


def with_defaults(space: Space, values: Mapping[str, object], location: str) -> Space:
    """Returns the space with the recipe's own value of each key in it.

    Raises:
        UserError: a range is given for a key whose value in the recipe is no number.
    """
    widened: Space = {}
    for key, entry in space.items():
        wider = entry.widened(values[key])
        if wider is None:
            raise UserError(
                f"{location}: {key}: found a range, but the recipe has {in_one_line(values[key])}, "
                "expected a list of choices, or a number in the recipe"
            )
        widened[key] = wider
    return widened


def samples_of(space: Space) -> Iterator[dict[str, object]]:
    """Yields a few settings in which each choice, and each bound, occurs."""
    values = {
        key: [parsed(text) for text in entry.texts]
        if isinstance(entry, SearchChoices)
        else [entry.low, entry.high]
        for key, entry in space.items()
    }
    for number in range(max(map(len, values.values()))):
        yield {key: each[min(number, len(each) - 1)] for key, each in values.items()}


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Returns for each key the shortest end of it that no other key has."""
    names: dict[str, str] = {}
    for key in keys:
        parts = [part for part in key.split(".") if part != "init_args"]
        for count in range(1, len(parts) + 1):
            name = ".".join(parts[-count:])
            if sum(other.replace(".init_args", "").endswith(f".{name}") for other in keys) <= 1:
                break
        names[key] = name
    return names


def check_keys(space: Space, config: Mapping[str, object], location: str) -> None:
    """Checks that the keys of a space are those of settings that a recipe has.

    Args:
        config: the recipe with all defaults.

    Raises:
        UserError: a key is of something else.
    """
    known = [".".join(k for k in keys if k != "init_args") for keys in leaves(config)]
    for key in space:
        _check_names(key, config, location)
        short = key.replace(".init_args", "")
        if not short.startswith(("model.", "data.", "trainer.")):
            ends = [name for name in known if name.endswith(f".{short}")]
            hint = f"; {suggestion(ends[:3])}" if ends else did_you_mean(short, known)
            raise UserError(f"{location}: {key}: there is no such key{hint}")


def _check_names(key: str, config: Mapping[str, object], location: str) -> None:
    """Checks the name of a task, a tokenizer or a source in a key."""
    node: object = config
    for name in key.split("."):
        if not isinstance(node, dict):
            return
        objects = [isinstance(item, dict) and "class_path" in item for item in node.values()]
        if name not in node and objects and all(objects):
            raise UserError(f"{location}: {key}: there is no {name!r}{did_you_mean(name, node)}")
        node = node.get(name)


def leaves(value: object, keys: Keys = ()) -> Iterator[Keys]:
    """Yields the keys of all settings of a recipe that are no dictionary."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*keys, str(key)))
    elif keys:
        yield keys


def value_at(config: Mapping[str, object], keys: Keys) -> object:
    """Returns the value of a key in a recipe; None: there is none."""
    return plain_value(node_at(config, keys))
