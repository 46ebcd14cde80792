"""Watching: who attended to whom in a forward pass, and how much.

Fast kernels never hold the weights of attention. A Watch keeps the queries and keys that they were
given, and recomputes the rows of those layers and sequences that somebody asks for.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unitf.core.attention.kernels import Kernel
from unitf.core.attention.sdpa import AttentionSpec
from unitf.core.uncompiled import uncompiled
from unitf.tokens import to_offsets

AttentionKind = Literal["self", "cross"]


@dataclass(frozen=True, eq=False)
class AttentionScope:
    """Who may attend to whom in a kernel.

    Args:
        lengths: of whole sequences of queries: those of the pattern are of their chunks.
        key_lengths: the same of keys.
        prefix: so many tokens at the beginning of each sequence see each other.
    """

    pattern: AttentionSpec
    lengths: tuple[int, ...]
    key_lengths: tuple[int, ...]
    prefix: tuple[int, ...] | None = None

    @classmethod
    def of(
        cls,
        kind: AttentionKind,
        pattern: AttentionSpec,
        lengths: tuple[int, ...],
        prefix: Sequence[int] | None,
    ) -> "AttentionScope":
        """That of a kernel; tokens that look at themselves are their own keys."""
        keys = lengths if kind == "self" else pattern.key_lengths
        return cls(pattern, lengths, keys, None if prefix is None else tuple(prefix))

    def seen(self, sequence: int) -> Bool[Tensor, "Lq Lk"]:
        """Which keys a query of this sequence sees."""
        pattern = self.pattern
        length, key_length = self.lengths[sequence], self.key_lengths[sequence]
        distance = torch.arange(length)[:, None] - torch.arange(key_length)
        seen = torch.ones_like(distance, dtype=torch.bool)
        if pattern.causal:
            inside = 0 if self.prefix is None else self.prefix[sequence]
            seen[inside:] = distance[inside:] >= 0
            seen[:inside, inside:] = False
        if pattern.window is not None:
            seen &= distance.abs() <= pattern.window
        pieces, key_pieces = (
            torch.arange(len(cut)).repeat_interleave(torch.tensor(cut))[part(lengths, sequence)]
            for cut, lengths in (
                (pattern.query_lengths, self.lengths),
                (pattern.key_lengths, self.key_lengths),
            )
        )
        return seen & (pieces[:, None] == key_pieces)


@dataclass(frozen=True, eq=False)
class Captured:
    """The queries and keys of one layer, and who of them may meet."""

    scope: AttentionScope
    q: Float[Tensor, "N H d"]
    k: Float[Tensor, "M H2 d"]

    def shape(self, sequence: int) -> tuple[int, int, int]:
        """That of its rows: heads, tokens that look, tokens that are looked at."""
        scope = self.scope
        return self.q.shape[1], scope.lengths[sequence], scope.key_lengths[sequence]

    def rows(self, sequence: int) -> Float[Tensor, "H Lq Lk"]:
        """How much each token of a sequence attends to each, head by head; a row sums to 1."""
        pattern, dtype = self.scope.pattern, torch.promote_types(self.q.dtype, torch.float32)
        mine = part(self.scope.lengths, sequence)
        q = self.q[mine].to(dtype).transpose(0, 1)
        k = self.k[part(self.scope.key_lengths, sequence)].to(dtype).transpose(0, 1)
        k = k.repeat_interleave(q.shape[0] // k.shape[0], dim=0)
        scores = q @ k.mT * (q.shape[-1] ** -0.5 if pattern.scale is None else pattern.scale)
        if pattern.softcap is not None:
            scores = (scores / pattern.softcap).tanh() * pattern.softcap
        if pattern.bias is not None:
            assert pattern.positions is not None
            positions = pattern.positions[:, mine]
            scores = scores + pattern.bias(positions, positions)
        seen = self.scope.seen(sequence).to(scores.device)
        return scores.masked_fill(~seen, -torch.inf).softmax(-1)


@runtime_checkable
class WatchedStack(Protocol):
    """What is watched: blocks one after the other, which tell `watch` what they were given."""

    recorder: "AttentionRecorder | None"

    @property
    def drop_path(self) -> Sequence[float]:
        """One number for each layer."""
        ...


@runtime_checkable
class WatchedCore(Protocol):
    """A Transformer, as far as it matters here."""

    @property
    def stacks(self) -> Sequence[WatchedStack]:
        """Its encoder, its decoder, or both."""
        ...


class AttentionRecorder:
    """What the layers of one stack were given in its last forward pass.

    Args:
        depth: how many layers there are.
        layers: those that are kept, from 0; None: all.
    """

    def __init__(self, depth: int, layers: Collection[int] | None = None) -> None:
        self.depth = depth
        self.layers = range(depth) if layers is None else sorted(layers)
        self._kept: dict[AttentionKind, dict[int, Captured]] = {"self": {}, "cross": {}}
        self._calls: dict[AttentionKind, int] = {"self": 0, "cross": 0}

    def over(
        self,
        kind: AttentionKind,
        kernel: Kernel,
        pattern: AttentionSpec,
        lengths: tuple[int, ...],
        prefix: Sequence[int] | None = None,
    ) -> Kernel:
        """The kernel, which from now on shows what it is given.

        Args:
            lengths: of the sequences of queries.
        """
        scope = AttentionScope.of(kind, pattern, lengths, prefix)
        return partial(self._call, kind, kernel, scope)  # type: ignore[return-value]

    @uncompiled
    def _call(
        self,
        kind: AttentionKind,
        kernel: Kernel,
        scope: AttentionScope,
        q: Tensor,
        k: Tensor,
        v: Tensor,
    ) -> Tensor:
        layer = self._calls[kind] % self.depth  # layers call in their order
        self._calls[kind] += 1
        if layer in self.layers:
            self._kept[kind][layer] = Captured(scope, q.detach(), k.detach())
        return kernel(q, k, v)

    def kinds(self) -> list[AttentionKind]:
        """The kinds of attention that took place."""
        return [kind for kind, kept in self._kept.items() if kept]

    def shape(
        self, layer: int, sequence: int = 0, kind: AttentionKind = "self"
    ) -> tuple[int, int, int]:
        """That of `rows`: heads, tokens that look, tokens that are looked at."""
        return self._kept[kind][layer].shape(sequence)

    def rows(
        self, layer: int, sequence: int = 0, kind: AttentionKind = "self"
    ) -> Float[Tensor, "H Lq Lk"]:
        """How much each token of a sequence attends to each, head by head; a row sums to 1."""
        return self._kept[kind][layer].rows(sequence)


@contextmanager
def recording_attention(
    core: WatchedCore, layers: Collection[int] | None = None
) -> Iterator[list[AttentionRecorder]]:
    """While it lasts, every forward pass is watched: a Watch for each stack of the core."""
    recorders = [AttentionRecorder(len(stack.drop_path), layers) for stack in core.stacks]
    try:
        for stack, recorder in zip(core.stacks, recorders, strict=True):
            stack.recorder = recorder
        yield recorders
    finally:
        for stack in core.stacks:
            stack.recorder = None


def rollout(layers: Sequence[Float[Tensor, "_ L L"]]) -> Float[Tensor, "L L"]:
    """How much of each token went into each, over all layers (Abnar & Zuidema, 2020).

    Half of a column is what it was, the other half what its heads attended to, on average.
    """
    total = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype, device=layers[0].device)
    for rows in layers:
        total = (total + rows.mean(0) @ total) / 2
    return total


def rollout_across(
    layers: Sequence[Float[Tensor, "_ L L"]],
    crossing: Sequence[Float[Tensor, "_ L M"]],
    memory: Float[Tensor, "M M"],
) -> Float[Tensor, "L M"]:
    """The same of a decoder, back to the tokens that its encoder read: a row sums to 1.

    Args:
        memory: the encoder's rollout.
    """
    read = torch.zeros_like(crossing[0][0])
    for rows, across in zip(layers, crossing, strict=True):
        read = (read + rows.mean(0) @ read) / 2
        read = (read + across.mean(0) @ memory) / 2
    return read / read.sum(-1, keepdim=True)


def part(lengths: Sequence[int], sequence: int) -> slice:
    """Where the tokens of a sequence stand among all."""
    first, last = to_offsets(lengths)[sequence : sequence + 2].tolist()
    return slice(first, last)
