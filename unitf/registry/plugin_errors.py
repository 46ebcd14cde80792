"""What is wrong with a plugin, as one line. This file imports no torch."""

import re
import traceback
from pathlib import Path

import pluggy

from unitf.errors import UserError, close_names
from unitf.registry.kinds import HOOKS

# files that run a plugin's code: no error of a plugin is theirs
_OWN = {str(Path(__file__).with_name(f"{name}.py")) for name in ("discovery", "registry")}


def one_line(error: BaseException) -> str:
    """An error as one line: what it is and where in the plugin it was raised."""
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
        and frame.filename not in _OWN
    ]
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})" if frames else text


def _hook_reason(text: str) -> str:
    """What pluggy says of a hook, without the repr of the plugin, and with near names."""
    if unknown := re.match(r"unknown hook '(\w+)'", text):
        near = close_names(unknown[1], HOOKS) or HOOKS
        return f"there is no hook {unknown[1]}; near: {', '.join(near)}"
    return re.sub(r"^Plugin '[^']*' for hook '\w+' hookimpl definition: ", "", text)
