"""The messages of the parser (jsonargparse) in one line each."""

import re
import sys

from unitf.cli.owners import FOREIGN
from unitf.errors import did_you_mean


def parser_line(error: Exception) -> str:
    """Returns a parser's error in one line.

    For a class that cannot be imported it says only that, not which types were tried.
    """
    line = " ".join(str(error).split())
    key = re.match(r'Parser key "([\w.]+)": ', line)
    if key and (denied := re.search(r"Importing '([^']+)' is not allowed", line)):
        return (
            f"{key[1]}: found {denied[1]}, expected a class of unitf, of a plugin, or of "
            f"{', '.join(FOREIGN)}; a file of your own is loaded with --plugin FILE"
        )
    if key and (missing := re.search(r"module '([\w.]+)' has no attribute '(\w+)'", line)):
        known = vars(sys.modules[missing[1]]) if missing[1] in sys.modules else ()
        return f"{key[1]}: {missing[1]} has no {missing[2]}{did_you_mean(missing[2], known)}"
    if (required := re.search(r"arguments are required: ([\w.]+)", line)) is not None:
        return f"{required[1]}: is missing, expected in every recipe"
    return _short(line)


def _short(line: str) -> str:
    """Returns where, what was found and what was expected, of a message with all alternatives."""
    keys = re.findall(r'Parser key "([\w.]+)"', line)
    found = re.search(r"(?:Got|Given) value: (.+?)(?=\. Got value|\.? [A-Z]|$)", line)
    expected = dict.fromkeys(re.findall(r"Expected an? <class '([\w.]+)'>", line))
    if not (keys and found and expected):
        return line
    words = {
        "str": "a text",
        "dict": "a dictionary",
        "list": "a list",
        "tuple": "a list",
        "NoneType": "nothing",
    }
    words |= {"int": "a whole number", "float": "a number", "bool": "true or false"}
    alternatives = " or ".join(words.get(str(name), str(name)) for name in expected)
    return f"{'.'.join(keys)}: found {found[1][:60]}, expected {alternatives}"
