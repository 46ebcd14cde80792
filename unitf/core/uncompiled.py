"""Functions that `torch.compile` leaves alone, marked without importing the compiler."""

from collections.abc import Callable
from types import FunctionType
from typing import ParamSpec, TypeVar, cast

from torch._C._dynamo import eval_frame

P = ParamSpec("P")
R = TypeVar("R")
_SKIP = eval_frame._FrameAction.SKIP  # pyright: ignore[reportPrivateUsage]


def uncompiled(function: Callable[P, R]) -> Callable[P, R]:
    """Marks a function that compiled code calls as it is, with all that it calls; returns it.

    It sets the marks that `torch.compiler.disable` sets. That function imports the compiler, which
    takes more than a second in every process that only predicts.
    """
    # the compiler reads this mark where it would inline the function …
    setattr(function, "_torchdynamo_disable", True)  # noqa: B010 (no attribute of its type)
    # … and this where the interpreter enters it; the second action is for what the function calls
    strategy = eval_frame._FrameExecStrategy(_SKIP, _SKIP)  # pyright: ignore[reportPrivateUsage]
    eval_frame.set_code_exec_strategy(cast(FunctionType, function).__code__, strategy)
    return function
