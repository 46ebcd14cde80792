"""Auxiliary losses and figures: what the blocks of a core return beside their rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from jaxtyping import Float
from torch import Tensor

from unitf.tokens import Tokens


class AuxiliaryLoss(NamedTuple):
    """A term of the training loss.

    Args:
        value: a mean over the tokens that the block read; it must be finite without any token.
        weight: the coefficient of the value in the total loss.
    """

    value: Float[Tensor, ""]
    weight: float


class Figure(NamedTuple):
    """A number, or one for each of some items, that is logged and not minimised.

    Args:
        value: a mean over the tokens that the block read, finite without any token.
    """

    value: Float[Tensor, "*items"]


Auxiliary: TypeAlias = Mapping[str, AuxiliaryLoss | Figure]  # by the name in the log


@dataclass(frozen=True, eq=False)
class BlockAuxiliary:
    """What one block returned in one pass.

    Args:
        stack: "encoder" or "decoder".
        block: the number of the block, from 0.
        num_tokens: how many tokens the block read.
    """

    stack: str
    block: int
    num_tokens: int
    auxiliary: Auxiliary

    def losses(self) -> dict[str, AuxiliaryLoss]:
        """The terms of the loss, by name."""
        return {n: each for n, each in self.auxiliary.items() if isinstance(each, AuxiliaryLoss)}

    def figures(self) -> dict[str, Figure]:
        """What is logged only, by name."""
        return {n: each for n, each in self.auxiliary.items() if isinstance(each, Figure)}


class CoreOutputs(NamedTuple):
    """The columns of a pass, and what each block returned beside them."""

    tokens: Tokens
    auxiliary: list[BlockAuxiliary]
