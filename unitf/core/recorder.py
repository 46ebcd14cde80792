"""AttentionRecorder: the attention weights of a forward pass.

Fast kernels never hold the weights of attention. A recorder stores the queries and keys of each
kernel call, and computes the weights of a layer and a sequence when they are asked for.
"""

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unitf.core.attention.kernel import Kernel
from unitf.core.attention.sdpa import AttentionSpec
from unitf.core.uncompiled import uncompiled
from unitf.features import to_offsets
from unitf.nn.typed import to_integers

AttentionKind = Literal["self", "cross"]


@dataclass(frozen=True, eq=False)
class AttentionScope:
    """Which queries may attend to which keys in a kernel.

    Args:
        lengths: the query lengths of whole sequences; the pattern has the lengths of their chunks.
        key_lengths: the key lengths of whole sequences.
        prefix: the number of tokens at the beginning of each sequence that see each other.
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
        """Returns the scope of a kernel; in self-attention, keys are as long as queries."""
        keys = lengths if kind == "self" else pattern.key_lengths
        return cls(pattern, lengths, keys, None if prefix is None else tuple(prefix))

    def seen(self, sequence: int) -> Bool[Tensor, "Lq Lk"]:
        """Returns which keys each query of this sequence sees."""
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
    """The queries and keys of one layer in one forward pass."""

    scope: AttentionScope
    q: Float[Tensor, "N H d"]
    k: Float[Tensor, "M H2 d"]

    def shape(self, sequence: int) -> tuple[int, int, int]:
        """Returns the shape of `rows`: the numbers of heads, queries and keys."""
        scope = self.scope
        return self.q.shape[1], scope.lengths[sequence], scope.key_lengths[sequence]

    def rows(self, sequence: int) -> Float[Tensor, "H Lq Lk"]:
        """Returns the attention weights of one sequence; each row sums to 1."""
        pattern, dtype = self.scope.pattern, torch.promote_types(self.q.dtype, torch.float32)
        queries = part(self.scope.lengths, sequence)
        q = self.q[queries].to(dtype).transpose(0, 1)
        k = self.k[part(self.scope.key_lengths, sequence)].to(dtype).transpose(0, 1)
        k = k.repeat_interleave(q.shape[0] // k.shape[0], dim=0)
        scores = q @ k.mT * (q.shape[-1] ** -0.5 if pattern.scale is None else pattern.scale)
        if pattern.softcap is not None:
            scores = (scores / pattern.softcap).tanh() * pattern.softcap
        if pattern.bias is not None:
            assert pattern.positions is not None
            positions = pattern.positions[:, queries]
            scores = scores + pattern.bias(positions, positions)
        seen = self.scope.seen(sequence).to(scores.device)
        return scores.masked_fill(~seen, -torch.inf).softmax(-1)


@runtime_checkable
class WatchedStack(Protocol):
    """What a recorder needs of a stack: it passes its kernels to `recorder.over`."""

    recorder: "AttentionRecorder | None"

    @property
    def drop_path(self) -> Sequence[float]:
        """The drop-path probability of each layer."""
        ...


@runtime_checkable
class WatchedCore(Protocol):
    """What `recording_attention` needs of a Transformer."""

    @property
    def stacks(self) -> Sequence[WatchedStack]:
        """The encoder, the decoder, or both."""
        ...


class AttentionRecorder:
    """The queries and keys of the layers of one stack in its last forward pass.

    Args:
        depth: the number of layers.
        layers: the numbers, from 0, of the layers that are recorded; None: all.
    """

    def __init__(self, depth: int, layers: Collection[int] | None = None) -> None:
        self.depth: int = depth
        self.layers: Sequence[int] = range(depth) if layers is None else sorted(layers)
        self._captured: dict[AttentionKind, dict[int, Captured]] = {"self": {}, "cross": {}}
        self._calls: dict[AttentionKind, int] = {"self": 0, "cross": 0}

    def over(
        self,
        kind: AttentionKind,
        kernel: Kernel,
        pattern: AttentionSpec,
        lengths: tuple[int, ...],
        prefix: Sequence[int] | None = None,
    ) -> Kernel:
        """Returns a kernel that records its queries and keys, and calls `kernel`.

        Args:
            lengths: the query lengths of whole sequences.
            prefix: the number of tokens at the beginning of each sequence that see each other.
        """
        scope = AttentionScope.of(kind, pattern, lengths, prefix)
        return partial(self._call, kind, kernel, scope)

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
            self._captured[kind][layer] = Captured(scope, q.detach(), k.detach())
        return kernel(q, k, v)

    def kinds(self) -> list[AttentionKind]:
        """Returns the kinds of attention that were recorded."""
        return [kind for kind, layers in self._captured.items() if layers]

    def shape(
        self, layer: int, sequence: int = 0, kind: AttentionKind = "self"
    ) -> tuple[int, int, int]:
        """Returns the shape of `rows`: the numbers of heads, queries and keys."""
        return self._captured[kind][layer].shape(sequence)

    def rows(
        self, layer: int, sequence: int = 0, kind: AttentionKind = "self"
    ) -> Float[Tensor, "H Lq Lk"]:
        """Returns the attention weights of one sequence; each row sums to 1."""
        return self._captured[kind][layer].rows(sequence)


@contextmanager
def recording_attention(
    core: WatchedCore, layers: Collection[int] | None = None
) -> Generator[list[AttentionRecorder], None, None]:
    """Records every forward pass inside the `with` block: one recorder for each stack."""
    recorders = [AttentionRecorder(len(stack.drop_path), layers) for stack in core.stacks]
    try:
        for stack, recorder in zip(core.stacks, recorders, strict=True):
            stack.recorder = recorder
        yield recorders
    finally:
        for stack in core.stacks:
            stack.recorder = None


def rollout(layers: Sequence[Float[Tensor, "_ L L"]]) -> Float[Tensor, "L L"]:
    """Returns how much of each token went into each, over all layers (Abnar & Zuidema, 2020).

    Half of a column is its input, the other half is what its heads attended to, on average.
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
    """Returns the rollout of a decoder, back to the tokens of its encoder; a row sums to 1.

    Args:
        layers: the self-attention weights of each layer.
        crossing: the cross-attention weights of each layer.
        memory: the rollout of the encoder.
    """
    read = torch.zeros_like(crossing[0][0])
    for rows, across in zip(layers, crossing, strict=True):
        read = (read + rows.mean(0) @ read) / 2
        read = (read + across.mean(0) @ memory) / 2
    return read / read.sum(-1, keepdim=True)


def part(lengths: Sequence[int], sequence: int) -> slice:
    """Returns the columns of a sequence in the packed batch."""
    first, last = to_integers(to_offsets(lengths)[sequence : sequence + 2])
    return slice(first, last)
