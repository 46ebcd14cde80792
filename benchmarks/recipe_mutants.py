"""Mistakes in recipes: mutants of any recipe, and how each is answered before training begins.

    python -m benchmarks.recipe_mutants configs/quickstart.yaml --count 200

Each mutant has one mistake of a kind that people make. A right answer is one line that names the
file, the key (or the line, where the file is no YAML), and what was meant or expected. A key or a
value that is left out may be right, because a default holds: such a mutant that is accepted is
counted as "a default". So is what is no mistake: another name where a person chooses the names
(columns, further tests), and a list of two numbers for the size of a patch. A recipe that is not
accepted itself (it needs a run, or another recipe before it) is left out, and named.
"""

import argparse
import contextlib
import copy
import io
import json
import random
import sys
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from unitf.errors import UserError

FREE = ("model.tokenizers", "model.tasks", "data.sources")  # whose keys a person chooses
CHOSEN = (["columns"], ["files"], ["path"], ["parts"])  # arguments whose keys a person chooses
SIZES = ("patch", "size")  # arguments that are a number, or one for each axis
LEFT_OUT = ("key is missing", "value is missing")  # of mutants that a default may complete
Keys = tuple[str | int, ...]


@dataclass(frozen=True)
class Mutant:
    """A recipe with one mistake.

    Args:
        kind: of the mistake.
        text: the recipe, as YAML.
        key: what the answer must name; "line" where it is the line of the file.
        meant: a word that the answer must have, beside what it found; "expected" for any.
        words: further words of the command line.
        place: the keys that lead to what was changed, with dots.
    """

    kind: str
    text: str
    key: str
    meant: str
    words: list[str] = field(default_factory=list)
    place: str = ""


def nodes(value: object, keys: Keys = ()) -> Iterator[tuple[Keys, object]]:
    """Yields every key of a recipe with its value."""
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, item in items:
        yield (*keys, key), item
        yield from nodes(item, (*keys, key))


def changed(recipe: dict[str, object], keys: Keys, value: object) -> str:
    """Returns the recipe with another value at a key."""
    copied = copy.deepcopy(recipe)
    parent: object = copied
    for key in keys[:-1]:
        parent = parent[key]  # pyright: ignore[reportIndexIssue]
    parent[keys[-1]] = value  # pyright: ignore[reportIndexIssue]
    return dump(copied)


def renamed(recipe: dict[str, object], keys: Keys, name: str | None) -> str:
    """Returns the recipe with another name of a key; without the key if `name` is None."""
    copied = copy.deepcopy(recipe)
    parent: object = copied
    for key in keys[:-1]:
        parent = parent[key]  # pyright: ignore[reportIndexIssue]
    assert isinstance(parent, dict)
    items = [(name if key == keys[-1] else key, item) for key, item in parent.items()]
    parent.clear()
    parent.update((key, item) for key, item in items if key is not None)
    return dump(copied)


def dump(recipe: object) -> str:
    return yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)


def misspelt(word: str, draw: random.Random) -> str:
    """Returns a word with one mistake of a typist."""
    n = draw.randrange(max(1, len(word) - 1))
    ways = [
        word[:n] + word[n + 1 :],
        word[: n + 1] + word[n:],
        word[:n] + word[n + 1 : n + 2] + word[n : n + 1] + word[n + 2 :],
        word[:n] + "x" + word[n:],
    ]
    return next((w for w in draw.sample(ways, 4) if w and w != word), word + "s")


def dotted(keys: Keys) -> str:
    return ".".join(str(key) for key in keys)


def is_free(keys: Keys) -> bool:
    """Returns whether a person chooses this key."""
    return dotted(keys[:-1]) in FREE or not isinstance(keys[-1], str)


def mutants(recipe: dict[str, object], draw: random.Random) -> Iterator[Mutant]:
    """Yields all mutants of a recipe."""
    for keys, value in nodes(recipe):
        key = dotted(keys)
        last = str(keys[-1])
        if not is_free(keys) and last not in ("class_path", "init_args"):
            wrong = misspelt(last, draw)
            words = [f"--{dotted((*keys[:-1], wrong))}", "1"]
            yield Mutant("misspelt key", renamed(recipe, keys, wrong), wrong, last, place=key)
            if "init_args" not in keys and not isinstance(value, dict):
                yield Mutant("misspelt option", dump(recipe), wrong, last, words, key)
            if len(keys) > 2 and "init_args" not in keys:
                parent = changed(recipe, (keys[0], last), value)
                yield Mutant("key at another level", parent, f"{keys[0]}.{last}", key)
        elif last in ("class_path", "init_args") and isinstance(keys[-1], str):
            wrong = misspelt(last, draw)
            yield Mutant("misspelt key", renamed(recipe, keys, wrong), wrong, last)
        yield from of_value(recipe, keys, value, draw)
    yield from of_syntax(dump(recipe), draw)


def of_value(
    recipe: dict[str, object], keys: Keys, value: object, draw: random.Random
) -> Iterator[Mutant]:
    """Yields the mutants that have another value at a key."""
    key = dotted(keys)

    def other(kind: str, new: object, meant: str = "expected") -> Mutant:
        place = dotted(keys[:-1]) if isinstance(keys[-1], int) else key  # an item is in its list
        return Mutant(kind, changed(recipe, keys, new), place, meant, place=key)

    if names_class(keys, value):
        name = str(value)
        yield other("misspelt class", misspelt(name, draw), name)
        yield other("number for a class", 3)
    elif isinstance(value, bool):
        yield other("word for a switch", "perhaps")
    elif isinstance(value, int | float):
        yield other("word for a number", "many")
        yield other("list for a number", [value, value])
        yield other("dictionary for a number", {"value": value})
        yield other("negative number", -abs(value) or -1)
        yield other("no number", float("nan"))
        if isinstance(value, int):
            yield other("fraction for a whole number", value + 0.5)
    elif isinstance(value, str) and keys[-1] != "class_path":
        yield other("dictionary for a word", {"value": value})
        yield other("list for a word", [[value]])
    elif isinstance(value, list):
        yield other("number for a list", 7)
    elif isinstance(value, dict):
        yield other("number for a dictionary", 7)
        yield other("list for a dictionary", list(value))
    if isinstance(keys[-1], str):
        yield other("value is missing", None)
    if isinstance(keys[-1], str) and not is_free(keys):
        owner = keys[-2] if len(keys) > 1 and names_class(("class_path",), keys[-1]) else keys[-1]
        yield Mutant("key is missing", renamed(recipe, keys, None), str(owner), "expected")


def names_class(keys: Keys, value: object) -> bool:
    name = str(value).rpartition(".")[2]
    is_name = isinstance(value, str) and name[:1].isupper() and name.isalnum()
    return is_name and (keys[-1] == "class_path" or dotted(keys[:-1]) in FREE)


def of_syntax(text: str, draw: random.Random) -> Iterator[Mutant]:
    """Yields mutants that are no YAML, or other YAML than was meant."""
    lines = text.splitlines()

    def other(kind: str, number: int, *new: str, key: str = "line") -> Mutant:
        return Mutant(kind, "\n".join([*lines[:number], *new, *lines[number + 1 :]]), key, "")

    for number in draw.sample(range(1, len(lines)), min(12, len(lines) - 1)):
        line = lines[number]
        if ":" not in line:
            continue
        name = line.strip("- ").partition(":")[0]
        yield other("key given twice", number, line, line, key=name)
        yield other("no colon", number, line.replace(":", "", 1))
        yield other("tab", number, "\t" + line)
        yield other("bracket left open", number, line.partition(":")[0] + ": [")
        yield other("quote left open", number, line.partition(":")[0] + ": 'a")
        yield other("one space too many", number, " " + line, key=name)


@dataclass
class Answer:
    """What a mutant led to."""

    mutant: Mutant
    said: str
    outcome: str  # "right", "no file", "no key", "no suggestion", "traceback", "accepted", …


def answer(mutant: Mutant, file: Path) -> Answer:
    """Reads a mutant as `unitf fit` does, up to the moment when training would begin."""
    from unitf.cli.training_cli import ready

    file.write_text(mutant.text, encoding="utf-8")
    words = ["--config", str(file), "--out", str(file.parent / "run"), *mutant.words]
    try:
        quiet = io.StringIO()
        with contextlib.redirect_stderr(quiet), contextlib.redirect_stdout(quiet):
            ready("fit", words)
    except UserError as error:
        return Answer(mutant, str(error), judged(mutant, str(error), file))
    except SystemExit as error:
        return Answer(mutant, f"exit {error.code}: {quiet.getvalue()[-300:]}", "traceback")
    except Exception as error:
        return Answer(mutant, f"{type(error).__name__}: {error}", "traceback")
    return Answer(mutant, "", "a default" if may_be_right(mutant) else "accepted")


def may_be_right(mutant: Mutant) -> bool:
    """Returns whether a recipe with this change may be what a person means."""
    *groups, last = mutant.place.split(".")
    is_chosen = mutant.kind in ("misspelt key", "misspelt option") and groups[-1:] in CHOSEN
    is_size = mutant.kind == "list for a number" and last in SIZES
    return mutant.kind in LEFT_OUT or is_chosen or is_size


def judged(mutant: Mutant, said: str, file: Path) -> str:
    if "\n" in said.strip():
        return "several lines"
    if not mutant.words and file.name not in said:
        return "no file"
    key = mutant.key.removesuffix(".class_path")
    line = mutant.kind in ("one space too many",) and "line" in said
    if key not in said and not line:
        return "no key"
    meant = ("expected", "did you mean", "must be", "at least")
    if mutant.meant != "expected":
        meant = (mutant.meant.rpartition(".")[2],)
    has_meant = any(word in said for word in meant)
    return "right" if has_meant else "no suggestion"


def accepted(paths: list[Path], file: Path) -> Iterator[dict[str, object]]:
    """Yields the recipes that are accepted as they are; the others are named."""
    for path in paths:
        text = path.read_text(encoding="utf-8")
        found = answer(Mutant("none", text, "", ""), file)
        if found.outcome == "accepted":
            yield yaml.safe_load(text)
        else:
            print(f"{path} is left out: {found.said[:200]}")


def chosen(recipe: dict[str, object], count: int, seed: int) -> list[Mutant]:
    """Returns mutants of all kinds in turn, drawn at random within a kind."""
    draw = random.Random(seed)
    kinds: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in mutants(recipe, draw):
        kinds[mutant.kind].append(mutant)
    for group in kinds.values():
        draw.shuffle(group)
    result: list[Mutant] = []
    while len(result) < count and any(kinds.values()):
        result += [group.pop() for group in kinds.values() if group]
    return result[:count]


def main() -> None:
    """Prints the share of right answers, and all that were not right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=200, help="of all recipes together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="a file for all answers")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    answers: list[Answer] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mutant.yaml"
        recipes = list(accepted(options.recipes, file))
        for number, recipe in enumerate(recipes):
            share = len(range(number, options.count, len(recipes)))
            for mutant in chosen(recipe, share, options.seed + number):
                answers.append(answer(mutant, file))
    for each in answers:
        if each.outcome not in ("right", "a default"):
            what = f"{each.mutant.kind} ({each.mutant.key})"
            print(f"{each.outcome:>14}  {what}: {each.said[:300]!r}")
    report(answers)
    if options.json:
        rows = [{**vars(a.mutant), "said": a.said, "outcome": a.outcome} for a in answers]
        options.json.write_text(json.dumps(rows, indent=1))


def report(answers: list[Answer]) -> None:
    counts = Counter(each.outcome for each in answers)
    answered = len(answers) - counts["a default"]
    print(f"\n{len(answers)} mutants: {dict(counts)}")
    print(f"share of right answers, where no default holds: {counts['right'] / answered:.3f}")
    print(f"tracebacks: {counts['traceback']}; accepted: {counts['accepted']}")


if __name__ == "__main__":
    sys.exit(main())
