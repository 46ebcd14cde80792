"""Names: the table that says which tensors of a peer are which of unitf."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unitf.errors import UserError
from unitf.peers.changes import Change, Joined, Part, Same

State = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a table: modules (or single tensors) of a peer that make one of unitf.

    A line for modules stands for all their tensors: `weight`, `bias` and whatever else they have.

    Args:
        theirs: dotted names in the peer; several are joined, or tied.
        ours: dotted name in unitf; empty: unitf needs no such tensor (an index, say).
        change: what is done to each tensor.
    """

    theirs: tuple[str, ...]
    ours: str
    change: Change = field(default_factory=Same)

    def expand(self, keys: Iterable[str]) -> list["Line"]:
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
            Line(tuple(t + end for t in self.theirs), self.ours and self.ours + end, self.change)
            for end in ends
        ]


def line(theirs: str | Sequence[str], ours: str, change: Change | None = None) -> Line:
    """A line of a table; several of `theirs` are tied to each other unless a change joins them."""
    theirs = (theirs,) if isinstance(theirs, str) else tuple(theirs)
    return Line(theirs, ours, change or Same(len(theirs)))


def unused(*theirs: str) -> list[Line]:
    """Tensors of a peer that unitf has no use for: those that its library makes by itself."""
    return [Line((name,), "") for name in theirs]


def joined(theirs: Sequence[str], ours: str, sizes: Sequence[int]) -> Line:
    """Projections (query, key, value; gate, value) that unitf computes as one."""
    return Line(tuple(theirs), ours, Joined(sizes))


def each(depth: int, theirs: str, ours: str, lines: Iterable[Line]) -> list[Line]:
    """The lines of a block for every block; `{}` in the two beginnings is its number."""
    lines = list(lines)
    return [
        Line(
            tuple(f"{theirs.format(block)}.{name}" for name in line.theirs),
            line.ours and f"{ours.format(block)}.{line.ours}",
            line.change,
        )
        for block in range(depth)
        for line in lines
    ]


class Table:
    """All lines of one model, each for one tensor of unitf.

    Args:
        lines: of modules or tensors.
        theirs: the tensors of the peer.
    """

    def __init__(self, lines: Iterable[Line], theirs: State) -> None:
        self.theirs = theirs
        self.lines = [one for line in lines for one in line.expand(theirs)]

    def there(self, wanted: State) -> dict[str, Tensor]:
        """The tensors of unitf from those of the peer.

        Args:
            wanted: all that unitf needs, for their names and shapes; axes of the peer's that lie
                in one of them are flattened.

        Raises:
            UserError: a tensor is left over, left out or of another shape; it is named.
        """
        made: dict[str, Tensor] = {}
        for line in self.lines:
            tensors = [self.theirs.get(name) for name in line.theirs]
            if not line.ours:
                continue
            if line.ours in made:
                raise UserError(f"two tensors claim {line.ours}: {', '.join(line.theirs)}")
            try:
                made[line.ours] = line.change.there(tensors)
            except (UserError, RuntimeError) as error:
                raise UserError(f"{', '.join(line.theirs)}: {error}") from error
        used = {name for line in self.lines for name in line.theirs}
        problems = {
            "no use for": [name for name in self.theirs if name not in used],
            "found none for": [name for name in wanted if name not in made],
            "nowhere to put": [name for name in made if name not in wanted],
        }
        if told := [f"{what} {_few(names)}" for what, names in problems.items() if names]:
            raise UserError(f"the tensors do not fit: {'; '.join(told)}")
        return {name: _like(tensor, wanted[name], name) for name, tensor in made.items()}

    def back(self, ours: State) -> dict[str, Tensor]:
        """The tensors of the peer from those of unitf; those without counterpart are left out.

        Raises:
            UserError: a tensor is missing or of another shape; it is named.
        """
        made: dict[str, Tensor] = {}
        for line in self.lines:
            if not line.ours:
                continue
            if line.ours not in ours:
                raise UserError(f"the model has no {line.ours}, which makes {line.theirs[0]}")
            tensors = line.change.back(ours[line.ours])
            for name, tensor in zip(line.theirs, tensors, strict=True):
                if name not in self.theirs:
                    continue
                if isinstance(line.change, Part):
                    whole = made.setdefault(name, torch.empty_like(self.theirs[name]))
                    line.change.put(whole, tensor)
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
