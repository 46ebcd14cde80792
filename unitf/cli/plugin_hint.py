"""Says how to test a class of a plugin in which an error arose."""

import sys
import traceback

from unitf import registry
from unitf.registry import discovery
from unitf.registry.class_names import distribution_of
from unitf.registry.kinds import KINDS

_CHECKED = ("tokenizers", "tasks", "sources")  # the kinds that have checks


def add_hint(error: Exception) -> None:
    """Adds a line to an error that arose in the code of a plugin's tokenizer, task or source."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        cls = type(frame.f_locals.get("self"))
        kind = discovery.kind_of(cls)
        if kind not in _CHECKED or distribution_of(cls.__module__) == "unitf":
            continue
        module = sys.modules.get(cls.__module__)
        if getattr(module, "__file__", None) == frame.f_code.co_filename:
            command = f"`{registry.invocation()} plugins check {cls.__name__}`"
            error.add_note(f"{command} tests what a {KINDS[kind].one} must do")
            return
