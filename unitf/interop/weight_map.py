"""Names: the table that says which tensors of a peer are which of unitf."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unitf.errors import UserError
from unitf.interop.transforms import Joined, Part, Same, TensorTransform

State = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class WeightMapping:
    """One line of a table: modules (or single tensors) of a peer that make one of unitf.

    A line for modules stands for all their tensors: `weight`, `bias` and whatever else they have.

    Args:
        theirs: dotted names in the peer; several are joined, or tied.
        ours: dotted name in unitf; empty: unitf needs no such tensor (an index, say).
        change: what is done to each tensor.
    """

    theirs: tuple[str, ...]
    ours: str
    change: TensorTransform = field(default_factory=Same)

    def expand(self, keys: Iterable[str]) -> list["WeightMapping"]:
        """A line for each tensor, given the names of all tensors of the peer."""
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
    """A line of a table; several of `theirs` are tied to each other unless a change joins them."""
    theirs = (theirs,) if isinstance(theirs, str) else tuple(theirs)
    return WeightMapping(theirs, ours, change or Same(len(theirs)))


def ignore_weights(*theirs: str) -> list[WeightMapping]:
    """Tensors of a peer that unitf has no use for: those that its library makes by itself."""
    return [WeightMapping((name,), "") for name in theirs]


def map_joined(theirs: Sequence[str], ours: str, sizes: Sequence[int]) -> WeightMapping:
    """Projections (query, key, value; gate, value) that unitf computes as one."""
    return WeightMapping(tuple(theirs), ours, Joined(sizes))


def map_blocks(
    depth: int, theirs: str, ours: str, lines: Iterable[WeightMapping]
) -> list[WeightMapping]:
    """The lines of a block for every block; `{}` in the two beginnings is its number."""
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
        lines: of modules or tensors.
        theirs: the tensors of the peer.
    """

    def __init__(self, lines: Iterable[WeightMapping], theirs: State) -> None:
        self.theirs = theirs
        self.lines = [one for map_weight in lines for one in map_weight.expand(theirs)]

    def to_unitf(self, wanted: State) -> dict[str, Tensor]:
        """The tensors of unitf from those of the peer.

        Args:
            wanted: all that unitf needs, for their names and shapes; axes of the peer's that lie
                in one of them are flattened.

        Raises:
            UserError: a tensor is left over, left out or of another shape; it is named.
        """
        made: dict[str, Tensor] = {}
        for map_weight in self.lines:
            tensors = [self.theirs.get(name) for name in map_weight.theirs]
            if not map_weight.ours:
                continue
            if map_weight.ours in made:
                raise UserError(
                    f"two tensors claim {map_weight.ours}: {', '.join(map_weight.theirs)}"
                )
            try:
                made[map_weight.ours] = map_weight.change.to_unitf(tensors)
            except (UserError, RuntimeError) as error:
                raise UserError(f"{', '.join(map_weight.theirs)}: {error}") from error
        used = {name for map_weight in self.lines for name in map_weight.theirs}
        problems = {
            "no use for": [name for name in self.theirs if name not in used],
            "found none for": [name for name in wanted if name not in made],
            "nowhere to put": [name for name in made if name not in wanted],
        }
        if told := [f"{what} {_few(names)}" for what, names in problems.items() if names]:
            raise UserError(f"the tensors do not fit: {'; '.join(told)}")
        return {name: _like(tensor, wanted[name], name) for name, tensor in made.items()}

    def from_unitf(self, ours: State) -> dict[str, Tensor]:
        """The tensors of the peer from those of unitf; those without counterpart are left out.

        Raises:
            UserError: a tensor is missing or of another shape; it is named.
        """
        made: dict[str, Tensor] = {}
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
                    whole = made.setdefault(name, torch.empty_like(self.theirs[name]))
                    map_weight.change.put(whole, tensor)
                else:
                    made[name] = _like(tensor, self.theirs[name], name)
        return made


def _like(tensor: Tensor, model: Tensor, name: str) -> Tensor:
    """The numbers in the shape of `model`, where only axes are joined or split."""
    if tensor.shape != model.shape and (
        tensor.numel() != model.numel() or tensor.ndim == model.ndim
    ):
        found, expected = ("×".join(map(str, shape)) for shape in (tensor.shape, model.shape))
        raise UserError(f"{name}: found {found}, expected {expected}")
    return tensor.reshape(model.shape).contiguous()


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
