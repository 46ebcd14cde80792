"""Functions that `torch.compile` leaves alone, marked without importing the compiler."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from torch._C._dynamo import eval_frame

P = ParamSpec("P")
R = TypeVar("R")
_SKIP = eval_frame._FrameAction.SKIP


def uncompiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which compiled code calls as it is, and all that it calls as well.

    It marks what `torch.compiler.disable` marks. That one imports the compiler, which takes more
    than a second, in every process that only predicts.
    """
    marked: Any = function
    marked._torchdynamo_disable = True  # read where the compiler would inline the function …
    # … and this where the interpreter enters it; the second is for what the function calls
    strategy = eval_frame._FrameExecStrategy(_SKIP, _SKIP)
    eval_frame.set_code_exec_strategy(marked.__code__, strategy)
    return function
