"""Pooling: one vector for each sequence, from its columns."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from unitf.nn.initialisation import initialise
from unitf.tokens import Tokens

PoolingName = Literal[
    "mean", "class_token", "attention", "first", "last", "first_and_mean", "latent"
]
"""How the columns of a sequence become one vector.

- `mean`: their mean
- `class_token`: the column of a learned token that is put before the sequence
- `attention`: their weighted mean, where learned queries attend to them
- `latent`: attention with a learned query, and a feed-forward after it
- `first`: the first column
- `last`: the last column
- `first_and_mean`: the first column, joined with the mean of the others
"""


def segments(columns: Tokens) -> Int[Tensor, " N"]:
    """Returns for each token the index of its sequence, without waiting for the device."""
    numbers = torch.arange(columns.num_sequences, device=columns.matrix.device)
    counts = columns.offsets.diff()
    return torch.repeat_interleave(numbers, counts, output_size=columns.num_tokens)


def segment_sum(rows: Float[Tensor, "N F"], columns: Tokens) -> Float[Tensor, "S F"]:
    """Returns the sum over the tokens of each sequence in float32; zero for an empty one."""
    rows = rows.float()  # a bfloat16 sum over more than 256 tokens loses single ones
    sums = rows.new_zeros(columns.num_sequences, rows.shape[1])
    return sums.index_add(0, segments(columns), rows)


class Pooling(nn.Module):
    """The base class of poolings: `forward` makes one vector of each sequence's columns.

    `join_inputs` may put learned columns before the sequences.
    """

    width: int = 1  # of the vector, in multiples of D
    # the columns [first, last) of each sequence that it reads; None: all
    output_columns: tuple[int | None, int | None] | None = None

    def join_inputs(self, parts: Sequence[Tokens]) -> Tokens:
        """Joins the tokens of several inputs to one sequence for each sample."""
        return Tokens.concat(parts)


class MeanPooling(Pooling):
    """The mean over a sequence's tokens; zeros for a sequence without any."""

    def forward(self, columns: Tokens) -> Float[Tensor, "S D"]:
        """Returns the mean column of each sequence."""
        counts = columns.offsets.diff().clamp(min=1)
        return segment_sum(columns.rows, columns) / counts[:, None]


class FirstPooling(Pooling):
    """The first token of each sequence; zeros for a sequence without any."""

    output_columns: tuple[int | None, int | None] | None = (0, 1)

    def column_indices(self, columns: Tokens) -> Int[Tensor, " S"]:
        """Returns for each sequence the index of the column that is its vector."""
        return columns.offsets[:-1]

    def forward(self, columns: Tokens) -> Float[Tensor, "S D"]:
        """Returns one column of each sequence."""
        if columns.num_tokens == 0:
            return columns.rows.new_zeros(columns.num_sequences, columns.dim)
        index = self.column_indices(columns).clamp(0, columns.num_tokens - 1)
        rows = columns.rows.index_select(0, index)
        if 0 in columns.lengths:
            rows = rows * (columns.offsets.diff() > 0)[:, None]
        return rows


class LastPooling(FirstPooling):
    """The last token of each sequence, the only one that attends to all others if causal."""

    output_columns: tuple[int | None, int | None] | None = (-1, None)

    def column_indices(self, columns: Tokens) -> Int[Tensor, " S"]:
        """Returns the index of each sequence's last column."""
        return columns.offsets[1:] - 1


class FirstAndMeanPooling(Pooling):
    """The first token of each sequence, joined with the mean over the others (DINOv2).

    Args:
        columns: the columns [first, last) of each sequence that are averaged.
    """

    width: int = 2

    def __init__(self, columns: Sequence[int | None] = (1, None)) -> None:
        super().__init__()
        self.columns: Sequence[int | None] = columns
        self.first: FirstPooling = FirstPooling()
        self.mean: MeanPooling = MeanPooling()

    def forward(self, columns: Tokens) -> Float[Tensor, "S D2"]:
        """Returns 2 D numbers for each sequence."""
        mean = self.mean(columns.within(*self.columns))
        return torch.cat([self.first(columns).to(mean.dtype), mean], dim=1)


class ClassTokenPooling(FirstPooling):
    """A learned token before every sequence, whose column after the core is the vector (BERT)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.token: LearnedToken = LearnedToken(dim)

    def join_inputs(self, parts: Sequence[Tokens]) -> Tokens:
        """Puts the class token before the joined inputs of each sample."""
        return Tokens.concat([self.token(parts[0].num_sequences), *parts])


class AttentionPooling(Pooling):
    """The mean over a sequence's tokens, weighted by the softmax of a learned query per head."""

    def __init__(self, dim: int, num_heads: int | None = None) -> None:
        super().__init__()
        self.num_heads: int = num_heads or default_heads(dim)
        if dim % self.num_heads:
            raise ValueError(f"width {dim} does not divide by {self.num_heads} pooling heads")
        self.queries: nn.Linear = nn.Linear(dim, self.num_heads, bias=False)
        self.values: nn.Linear = nn.Linear(dim, dim)
        initialise(self)

    def forward(self, columns: Tokens) -> Float[Tensor, "S D"]:
        """Returns the weighted mean of each sequence; zeros for an empty one."""
        rows, members = columns.rows, segments(columns)
        scores = self.queries(rows).float() * rows.shape[1] ** -0.5
        with torch.no_grad():  # subtracted only so that exp() cannot overflow
            highest = scores.new_full((columns.num_sequences, self.num_heads), -torch.inf)
            highest.scatter_reduce_(0, members[:, None].expand_as(scores), scores, "amax")
        weights = (scores - highest.index_select(0, members)).exp()
        values = self.values(rows).float().unflatten(1, (self.num_heads, -1))
        weighted = segment_sum((weights[:, :, None] * values).flatten(1), columns)
        total = segment_sum(weights, columns).clamp(min=torch.finfo(torch.float32).tiny)
        means = weighted.unflatten(1, (self.num_heads, -1)) / total[:, :, None]
        return means.flatten(1)


class LearnedToken(nn.Module):
    """A learned D×1 column, repeated as S sequences of one token."""

    def __init__(self, dim: int, position: float = 0.0) -> None:
        super().__init__()
        self.position: float = position
        self.column: nn.Parameter = nn.Parameter(torch.empty(dim, 1))
        nn.init.trunc_normal_(self.column, std=0.02, a=-0.04, b=0.04)

    def forward(self, num_sequences: int) -> Tokens:
        """Returns `num_sequences` sequences of this one token."""
        # `flatten`, not `mT`: DDP warns of a gradient whose strides differ from the parameter's
        rows = self.column.flatten().expand(num_sequences, -1)
        positions = rows.new_full((1, num_sequences), self.position)
        return Tokens.from_rows(rows, (1,) * num_sequences, positions)


def default_heads(dim: int) -> int:
    """Returns the number of heads that makes each about 64 wide, as in published models."""
    return next(heads for heads in range(max(1, dim // 64), 0, -1) if dim % heads == 0)


POOLINGS: dict[str, Callable[[int], Pooling]] = {
    "mean": lambda dim: MeanPooling(),
    "class_token": ClassTokenPooling,
    "attention": AttentionPooling,
    "first": lambda dim: FirstPooling(),
    "last": lambda dim: LastPooling(),
    "first_and_mean": lambda dim: FirstAndMeanPooling(),
}
