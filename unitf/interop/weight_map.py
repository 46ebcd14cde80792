"""WeightMap: the table of tensors of a published model and their counterparts in unitf."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from unitf.errors import UserError
from unitf.interop.transforms import Joined, Part, Same, TensorTransform

State: TypeAlias = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class WeightMapping:
    """One line of a table: modules (or tensors) of a published model, and their name in unitf.

    A line for modules stands for all their tensors: `weight`, `bias` and any others.

    Args:
        theirs: dotted names in the published model; several are joined, or tied.
        ours: the dotted name in unitf; empty: unitf does not need the tensor.
        change: the transform of each tensor.
    """

    theirs: tuple[str, ...]
    ours: str
    change: TensorTransform = field(default_factory=Same)

    def expand(self, keys: Iterable[str]) -> list["WeightMapping"]:
        """Returns a line for each tensor; `keys` are the names of all published tensors."""
        keys = set(keys)
        ends: dict[str, None] = {}
        for module in self.theirs:
            if module in keys:
                ends[""] = None
            start = f"{module}."
            ends |= dict.fromkeys(
                key[len(module) :] for key in sorted(keys) if key.startswith(start)
            )
        return [
            WeightMapping(
                tuple(t + end for t in self.theirs), self.ours and self.ours + end, self.change
            )
            for end in ends
        ]


def map_weight(
    theirs: str | Sequence[str], ours: str, change: TensorTransform | None = None
) -> WeightMapping:
    """Returns a line of the table; several of `theirs` are tied unless `change` joins them."""
    theirs = (theirs,) if isinstance(theirs, str) else tuple(theirs)
    return WeightMapping(theirs, ours, change or Same(len(theirs)))


def ignore_weights(*theirs: str) -> list[WeightMapping]:
    """Returns lines for tensors that unitf does not need, as the library computes them itself."""
    return [WeightMapping((name,), "") for name in theirs]


def map_joined(theirs: Sequence[str], ours: str, sizes: Sequence[int]) -> WeightMapping:
    """Returns a line for projections (query, key, value; gate, value) that are one in unitf."""
    return WeightMapping(tuple(theirs), ours, Joined(sizes))


def map_blocks(
    depth: int, theirs: str, ours: str, lines: Iterable[WeightMapping]
) -> list[WeightMapping]:
    """Returns the lines of one block for all blocks.

    Args:
        depth: the number of blocks.
        theirs: the prefix of the published names; `{}` is the number of the block.
        ours: the prefix of the names in unitf, likewise.
        lines: those of one block, without the prefixes.
    """
    lines = list(lines)
    return [
        WeightMapping(
            tuple(f"{theirs.format(block)}.{name}" for name in map_weight.theirs),
            map_weight.ours and f"{ours.format(block)}.{map_weight.ours}",
            map_weight.change,
        )
        for block in range(depth)
        for map_weight in lines
    ]


class WeightMap:
    """All lines of one model, each for one tensor of unitf.

    Args:
        lines: lines for modules or tensors.
        theirs: the published tensors by name.
    """

    def __init__(self, lines: Iterable[WeightMapping], theirs: State) -> None:
        self.theirs: State = theirs
        self.lines: list[WeightMapping] = [
            one for map_weight in lines for one in map_weight.expand(theirs)
        ]

    def to_unitf(self, wanted: State) -> dict[str, Tensor]:
        """Returns the tensors of unitf, made of the published ones.

        Args:
            wanted: all tensors that unitf needs, for their names and shapes; axes of a published
                tensor are joined where unitf has one axis.

        Raises:
            UserError: a tensor is unused, missing or of another shape; the message names it.
        """
        converted: dict[str, Tensor] = {}
        for map_weight in self.lines:
            tensors = [self.theirs.get(name) for name in map_weight.theirs]
            if not map_weight.ours:
                continue
            if map_weight.ours in converted:
                raise UserError(
                    f"two tensors claim {map_weight.ours}: {', '.join(map_weight.theirs)}"
                )
            try:
                converted[map_weight.ours] = map_weight.change.to_unitf(tensors)
            except (UserError, RuntimeError) as error:
                raise UserError(f"{', '.join(map_weight.theirs)}: {error}") from error
        used = {name for map_weight in self.lines for name in map_weight.theirs}
        problems = {
            "no use for": [name for name in self.theirs if name not in used],
            "found none for": [name for name in wanted if name not in converted],
            "nowhere to put": [name for name in converted if name not in wanted],
        }
        if lines := [f"{what} {_few(names)}" for what, names in problems.items() if names]:
            raise UserError(f"the tensors do not fit: {'; '.join(lines)}")
        return {name: _like(tensor, wanted[name], name) for name, tensor in converted.items()}

    def from_unitf(self, ours: State) -> dict[str, Tensor]:
        """Returns the published tensors, made of those of unitf; the others are left out.

        Raises:
            UserError: a tensor is missing or of another shape; the message names it.
        """
        converted: dict[str, Tensor] = {}
        for map_weight in self.lines:
            if not map_weight.ours:
                continue
            if map_weight.ours not in ours:
                raise UserError(
                    f"the model has no {map_weight.ours}, which makes {map_weight.theirs[0]}"
                )
            tensors = map_weight.change.from_unitf(ours[map_weight.ours])
            for name, tensor in zip(map_weight.theirs, tensors, strict=True):
                if name not in self.theirs:
                    continue
                if isinstance(map_weight.change, Part):
                    whole = converted.setdefault(name, torch.empty_like(self.theirs[name]))
                    map_weight.change.put(whole, tensor)
                else:
                    converted[name] = _like(tensor, self.theirs[name], name)
        return converted


def _like(tensor: Tensor, template: Tensor, name: str) -> Tensor:
    """Returns the tensor in the shape of `template`; only axes may be joined or split."""
    if tensor.shape != template.shape and (
        tensor.numel() != template.numel() or tensor.ndim == template.ndim
    ):
        found, expected = ("×".join(map(str, shape)) for shape in (tensor.shape, template.shape))
        raise UserError(f"{name}: found {found}, expected {expected}")
    return tensor.reshape(template.shape).contiguous()


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
