"""Observes the matrices that a core reads of a batch, and which tokens attend to which."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from unitf.batch import Batch
from unitf.core.attention.kernels import Grouped, Kernel
from unitf.core.attention.prefix import PrefixKernel
from unitf.core.attention.sdpa import AttentionSpec
from unitf.core.recorder import AttentionKind, AttentionRecorder, AttentionScope
from unitf.core.transformer import Transformer, TransformerStack
from unitf.features import Features
from unitf.model import Model
from unitf.tokens import Tokens

LEARNED: str = "learned"  # columns that stand for no token: a class token, a prefix, a start
_CODE = 2**20  # learned columns hold smaller numbers
_Hook = Callable[[nn.Module, tuple[object, ...], dict[str, object], Tokens], Tokens]


@dataclass(frozen=True, eq=False)
class AttentionPattern:
    """Which tokens may attend to which in some blocks of a stack, and the kernel for it."""

    kind: AttentionKind
    scope: AttentionScope
    kernel: str

    @property
    def sees(self) -> str:
        """The tokens that a token sees, in words."""
        pattern, scope = self.scope.pattern, self.scope
        if self.kind == "cross":
            return "the source"
        words = ["itself and those before" if pattern.causal else "all of its sequence"]
        if scope.prefix is not None and pattern.causal:
            words.append("its prefix")
        if pattern.window is not None:
            words.append(f"a window of {pattern.window}")
        if sum(pattern.query_lengths) and pattern.query_lengths != scope.lengths:
            words.append(f"chunks of {max(pattern.query_lengths)}")
        return ", ".join(words)

    @property
    def sees_less(self) -> bool:
        """Whether a token does not see all of its sequence."""
        pattern = self.scope.pattern
        cut = self.kind == "self" and pattern.query_lengths != self.scope.lengths
        return pattern.causal or pattern.window is not None or cut

    @property
    def _identity(self) -> tuple[object, ...]:
        pattern = self.scope.pattern
        return (self.kind, pattern.query_lengths, pattern.causal, pattern.window, self.kernel)


@dataclass(frozen=True, eq=False)
class PackedBatch:
    """A D×N matrix that one stack of the core reads: the sequences of a batch, side by side.

    Args:
        name: "tokens"; in an encoder-decoder "source" or "target".
        dim: D.
        lengths: the number of tokens of each sequence.
        positions: of each token, along each axis.
        columns: for each token, the index in `names` of the column that it comes from.
        names: the columns of the samples.
        num_axes: how many position axes each of `names` has.
        memory: what a decoder attends to.
        attentions: the ways in which the stack's blocks attend.
    """

    name: str
    dim: int
    lengths: tuple[int, ...]
    positions: Float[np.ndarray, "P N"]
    columns: Int[np.ndarray, " N"]
    names: Sequence[str]
    num_axes: Mapping[str, int]
    memory: "PackedBatch | None" = None
    attentions: list[AttentionPattern] = field(default_factory=list)

    @property
    def num_tokens(self) -> int:
        """N, the number of tokens."""
        return sum(self.lengths)

    @property
    def num_padded(self) -> int:
        """The number of tokens if all sequences were padded to the longest."""
        return len(self.lengths) * max(self.lengths, default=0)

    @property
    def starts(self) -> Int[np.ndarray, " S1"]:
        """The offset of the first token of each sequence, and the end of the last sequence."""
        return np.cumsum([0, *self.lengths])

    def lengths_of(self, column: int) -> Int[np.ndarray, " S"]:
        """Returns how many tokens of a column each sequence has."""
        before = np.concatenate([[0], np.cumsum(self.columns == column)])
        return np.diff(before[self.starts])


@torch.no_grad()
def observe(model: Model, batch: Batch) -> list[PackedBatch]:
    """Returns the matrices that the core reads of a batch.

    There is one for each pass (two in an encoder-decoder). Tasks that attend in different ways
    have separate passes.
    """
    matrices: list[PackedBatch] = []
    num_axes = {LEARNED: 1}
    with _coding(model, batch, num_axes), _recording(model.core, matrices, num_axes):
        model.columns(batch)
    return matrices


@contextmanager
def _coding(model: Model, batch: Batch, num_axes: dict[str, int]) -> Iterator[None]:
    """Inside the context, each token holds the number of its column instead of its content.

    So each token is recognised, however a task orders them and whatever it puts between them.

    Args:
        num_axes: by column; the context adds the columns of the batch. Their order in it is their
            number.
    """
    # tasks hide or shift values, but positions stay what the data worker made
    column_of = {
        id(features.positions): column
        for task_batch in batch.task_batches.values()
        for column, features in task_batch.features.items()
    }
    for name, task_batch in batch.task_batches.items():
        if task_batch.sequence is not None:
            column_of[id(task_batch.sequence.positions)] = str(model.tasks[name].target)

    def code(
        name: str, args: tuple[object, ...], kwargs: Mapping[str, object], tokens: Tokens
    ) -> Tokens:
        features = cast(Features, args[0] if args else kwargs["features"])
        column = column_of.get(id(features.positions), name)
        num_axes.setdefault(column, tokens.positions.shape[0])
        rows = torch.zeros_like(tokens.rows, dtype=torch.float32)
        rows[:, 0] = _CODE * list(num_axes).index(column)
        starts = np.cumsum([0, *tokens.lengths])
        lengths = zip(starts, tokens.lengths, features.lengths, strict=False)
        for start, length, feature_length in lengths:
            rows[start : start + max(0, length - feature_length), 0] = 0  # learned prefix
        return tokens.with_rows(rows)

    def hook(name: str) -> _Hook:
        return lambda _, args, kwargs, tokens: code(name, args, kwargs, tokens)

    handles = [
        tokenizer.register_forward_hook(hook(name), with_kwargs=True)
        for name, tokenizer in model.tokenizers.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _ColumnRecorder(AttentionRecorder):
    """Records which tokens may attend to which, without queries and keys."""

    def __init__(self, attentions: list[AttentionPattern]) -> None:
        super().__init__(depth=0)
        self.attentions: list[AttentionPattern] = attentions

    def over(
        self,
        kind: AttentionKind,
        kernel: Kernel,
        pattern: AttentionSpec,
        lengths: tuple[int, ...],
        prefix: Sequence[int] | None = None,
    ) -> Kernel:
        """Records the attention, once for all blocks that attend alike, and returns the kernel."""
        scope = AttentionScope.of(kind, pattern, lengths, prefix)
        attention = AttentionPattern(kind, scope, describe(kernel))
        if all(attention._identity != other._identity for other in self.attentions):
            self.attentions.append(attention)
        return kernel


@contextmanager
def _recording(
    core: Transformer, matrices: list[PackedBatch], num_axes: Mapping[str, int]
) -> Iterator[None]:
    """Inside the context, records what the stacks of a core read, and how they attend."""

    def record(stack: TransformerStack, inputs: tuple[object, ...]) -> None:
        tokens = cast(Tokens, inputs[0])
        memory = matrices[-1] if len(inputs) > 1 and inputs[1] is not None else None
        name = "tokens"
        if core.config.kind == "encoder-decoder":
            name = "source" if stack is core.encoder else "target"
        codes = (tokens.rows[:, 0].float() / _CODE).round().long().cpu().numpy()
        positions = tokens.positions.float().cpu().numpy()
        packed = PackedBatch(
            name, tokens.dim, tokens.lengths, positions, codes, list(num_axes), num_axes, memory
        )
        matrices.append(packed)
        stack.recorder = _ColumnRecorder(packed.attentions)

    hooks = [stack.register_forward_pre_hook(record) for stack in core.stacks]
    try:
        yield
    finally:
        for hook, stack in zip(hooks, core.stacks, strict=True):
            hook.remove()
            stack.recorder = None


def describe(kernel: Kernel) -> str:
    """Returns the names of the implementations that a kernel consists of."""
    if isinstance(kernel, PrefixKernel):
        return f"{describe(kernel.whole)}; prefixes: {describe(kernel.inner)}"
    if isinstance(kernel, Grouped):
        counts = Counter(describe(inner) for inner in kernel.kernels)
        return f"Grouped ({', '.join(f'{count} {name}' for name, count in counts.items())})"
    return type(kernel).__name__
