"""Says where in the recipes and on the command line a mistake is, once something has failed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType

from lightning.fabric.utilities.exceptions import MisconfigurationException

from unitf.cli.merging import node_at
from unitf.cli.owners import OTHERS
from unitf.cli.parser_messages import parser_line
from unitf.cli.recipe_faults import Fault, Keys, RecipeFaults, shown
from unitf.cli.recipe_inputs import RecipeInputs, given_inputs
from unitf.cli.renamed import OldNameError, Owners
from unitf.errors import UserError, close_names, suggestion

_COMMAND_LINE: tuple[str, ...] = ("config", "data-root", "resume", "help")
_SYNTAX = re.compile(r", line \d+: ")


def explained(
    error: Exception, words: Sequence[str], argv: Sequence[str], owners: Owners
) -> Exception:
    """Returns the error that names the file, the key, and what was found and expected.

    Args:
        error: what was raised while the recipes were read and their objects were made.
        words: the command line as the parser got it.
        argv: the command line as it was typed.
        owners: the classes that take the arguments of a recipe's parts.

    Returns:
        A UserError; or `error`, if it is a fault of the program.
    """
    line = parser_line(error)
    if isinstance(error, OldNameError) or (isinstance(error, UserError) and _SYNTAX.search(line)):
        return error
    try:
        given = given_inputs(words, argv)
    except UserError:
        return error
    faults = RecipeFaults(owners, OTHERS)
    faults.written = given.written
    if (fault := _first(faults, given)) is not None:
        return UserError(f"{given.source(fault.keys)}: {fault.text}")
    if (quoted := _quoted(line, faults.classes, given.merged)) is not None:
        return UserError(_with_source(given, *quoted))
    if (keys := _raised_at(error, faults.classes, given.merged)) is not None:
        return UserError(_with_source(given, keys, line))
    if isinstance(error, UserError):
        return _with_file(error, given, line)
    return UserError(line) if isinstance(error, MisconfigurationException) else error


def _first(faults: RecipeFaults, given: RecipeInputs) -> Fault | None:
    """Returns the first mistake of a file, else of an option."""
    for _, recipe in given.files:
        inherits = node_at(recipe, ("model", "pretrained")) is not None
        partial = len(given.files) > 1 or inherits or bool(given.options)
        if (fault := next(faults.of(recipe, partial), None)) is not None:
            return fault
    top = [*faults.owners, *faults.others, *_COMMAND_LINE]
    for keys in given.options:
        if keys[0] not in top:
            close = close_names(keys[0], top)
            hint = suggestion([f"--{close[0]}"]) if close else f"expected one of {', '.join(top)}"
            return Fault(keys, f"there is no such option; {hint}")
    for fault in faults.of(given.merged, True):
        if any(keys == fault.keys[: len(keys)] for keys in given.options):
            return fault
    return None


def check_values(words: Sequence[str], argv: Sequence[str], owners: Owners) -> None:
    """Checks recipes and options for what the parser accepts: no value, or one that is no number.

    Raises:
        UserError: there is such a value.
    """
    given, faults = given_inputs(words, argv), RecipeFaults(owners, OTHERS)
    faults.written = given.written
    for fault in faults.of(given.merged, True):
        if fault.accepted:
            raise UserError(f"{given.source(fault.keys)}: {fault.text}")


def _quoted(
    line: str, classes: Mapping[Keys, type], recipe: Mapping[str, object]
) -> tuple[Keys, str] | None:
    """Returns where a parser's error comes from that quotes a constructor's, and the quotation."""
    for keys, cls in classes.items():
        if (found := re.search(rf"- ({cls.__name__}: .+?)(?= - |\s+Given value|$)", line)) is None:
            continue
        argument = _argument(found[1], node_at(recipe, keys))
        return (keys if argument is None else (*keys, *argument)), found[1]
    return None


def _raised_at(
    error: BaseException, classes: Mapping[Keys, type], recipe: Mapping[str, object]
) -> Keys | None:
    """Returns the key at which an error arose in the constructor of an object of the recipe."""
    text = str(error)
    for frame in _constructors(error):
        cls = type(frame.f_locals.get("self"))
        locations = [keys for keys, known in classes.items() if known is cls]
        for keys in sorted(locations, key=len, reverse=True):
            if (argument := _argument(text, node_at(recipe, keys))) is not None:
                return (*keys, *argument)
        if locations:
            return locations[0]
    return None


def _constructors(error: BaseException) -> Iterator[FrameType]:
    """Yields the frames of constructors through which an error came, the innermost first."""
    frames: list[FrameType] = []
    each: BaseException | None = error
    while each is not None:
        step = each.__traceback__
        while step is not None:
            if step.tb_frame.f_code.co_name in ("__init__", "__post_init__"):
                frames.append(step.tb_frame)
            step = step.tb_next
        each = each.__cause__ or each.__context__
    yield from reversed(frames)


def _argument(text: str, arguments: object) -> Keys | None:
    """Returns the argument that an error is about: one that it names, or whose value it says.

    If that is a dictionary, the key within it follows.
    """
    if not isinstance(arguments, dict):
        return None
    named = [key for key in arguments if re.search(rf"\b{re.escape(str(key))}\b", text)]
    said = [
        key
        for key, value in arguments.items()
        if any(_is_said(shown(v), text) for v in (value if isinstance(value, list) else [value]))
    ]
    both = sorted((key for key in named if key in said), key=lambda key: _is_usual(arguments[key]))
    key = next(iter((*both, *named, *said)), None)
    if key is None:
        return None
    return (str(key), *(_argument(text, arguments[key]) or ()))


def _is_usual(value: object) -> bool:
    """Returns whether a value is none of those that are most often wrong: 0 and below."""
    return not isinstance(value, int | float) or value > 0


def _is_said(value: str, text: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(value)}(?![\w.])", text) is not None


def _with_source(given: RecipeInputs, keys: Keys, line: str) -> str:
    value = shown(node_at(given.merged, keys))
    found = "" if _is_said(value, line) or isinstance(node_at(given.merged, keys), dict) else value
    return f"{given.source(keys)}: {line}" + (f" (found {found})" if found else "")


def _with_file(error: UserError, given: RecipeInputs, line: str) -> UserError:
    """Returns an error with the file whose key it names first, if it does not name the file."""
    if any(str(file) in line for file, _ in given.files) or not given.files:
        return error
    named = re.search(r"--?[\w.-]+|[\w-]+(\.[\w-]+)+", line)
    keys = tuple(named[0].lstrip("-").split(".")) if named else ()
    source = given.source(keys) if node_at(given.merged, keys) is not None else ""
    if not keys or source.startswith("--"):
        return error
    file = source.partition(": ")[0] or given.files[-1][0]
    return UserError(f"{file}: {line}")
