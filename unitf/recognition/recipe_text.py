"""Writes a recipe as a person would: short, and what belongs together on one line."""

from collections.abc import Iterator, Mapping

import yaml

_WIDTH = 110  # characters of a line


def named(name: str, settings: Mapping[str, object]) -> dict[str, object]:
    """Returns how a recipe writes a class with its arguments; all of unitf's recipes come here."""
    return {"class_path": name, **({"init_args": dict(settings)} if settings else {})}


def as_yaml(
    recipe: Mapping[str, object],
    comments: tuple[str, ...] = (),
    dumper: type[yaml.SafeDumper] = yaml.SafeDumper,
) -> str:
    """Returns a recipe as YAML.

    Args:
        recipe: plain data.
        comments: the lines above it.
        dumper: writes the values.
    """
    return "".join(f"# {line}\n" for line in comments) + "".join(_lines(recipe, 0, dumper))


def _lines(value: Mapping[str, object], depth: int, dumper: type[yaml.SafeDumper]) -> Iterator[str]:
    for key, item in value.items():
        begin = "  " * depth + _flow(key, dumper) + ":"
        short = f"{begin} {_flow(item, dumper)}"
        if not isinstance(item, Mapping | list) or (depth > 0 and len(short) <= _WIDTH):
            yield f"{short}\n"
        elif isinstance(item, Mapping):
            yield f"{begin}\n"
            yield from _lines(item, depth + 1, dumper)
        else:
            yield f"{begin}\n"
            yield from ("  " * (depth + 1) + f"- {_flow(part, dumper)}\n" for part in item)


def _flow(value: object, dumper: type[yaml.SafeDumper]) -> str:
    """Returns a value on one line."""
    text = yaml.dump(
        value,
        Dumper=dumper,
        default_flow_style=True,
        sort_keys=False,
        width=float("inf"),
        allow_unicode=True,
    )
    return text.removesuffix("\n...\n").strip()
