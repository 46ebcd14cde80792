"""Turns errors of plugins into one line. This file imports no torch."""

import re
import traceback
from pathlib import Path

import pluggy

from unitf.errors import UserError, close_names, suggestion
from unitf.registry.kinds import HOOKS

# these files run the code of plugins: a line of theirs is not where a plugin failed
_RUNNERS = {
    str(Path(__file__).with_name(f"{name}.py"))
    for name in ("discovery", "plugin_registry", "registry")
}


def one_line(error: BaseException) -> str:
    """Returns an error as one line: its type, its message and the line of the plugin."""
    text = " ".join(str(error).split())
    if isinstance(error, pluggy.PluginValidationError):
        return _hook_reason(text)
    if isinstance(error, UserError):
        return text
    if isinstance(error, SystemExit):
        text = f"it ends the program (sys.exit({text}))"
    else:
        text = f"{type(error).__name__}: {text[:300]}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<")
        and not {"importlib", "pluggy", "pkgutil.py"} & set(Path(frame.filename).parts)
        and frame.filename not in _RUNNERS
    ]
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})" if frames else text


def _hook_reason(text: str) -> str:
    """Returns pluggy's message about a hook without the plugin's repr, with close names."""
    if unknown := re.match(r"unknown hook '(\w+)'", text):
        near = close_names(unknown[1], HOOKS) or HOOKS
        return f"there is no hook {unknown[1]}; {suggestion(near)}"
    if arguments := re.search(r"for hook '(\w+)'.*Argument\(s\) \{(.*?)\} are declared", text):
        found = arguments[2].replace("'", "")
        return f"{arguments[1]}({found}): expected the argument register"
    return re.sub(r"^Plugin '[^']*' for hook '\w+' hookimpl definition: ", "", text)
