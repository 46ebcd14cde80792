"""Packed: the matrices that the stacks of a core read of a batch, and who sees whom in them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from unitf.batch import Batch
from unitf.core.attention.kernels import Grouped, Kernel
from unitf.core.attention.prefix import PrefixKernel
from unitf.core.attention.sdpa import AttentionSpec
from unitf.core.recorder import AttentionKind, AttentionRecorder, AttentionScope
from unitf.core.transformer import TransformerStack
from unitf.tokens import Features, Tokens

LEARNED = "learned"  # columns that stand for no token: a class token, a prefix, a start
_CODE = 2**20  # a column that is learned holds no such number


@dataclass(frozen=True, eq=False)
class AttentionPattern:
    """Who may attend to whom in some blocks of a stack, and what computes it."""

    kind: AttentionKind
    scope: AttentionScope
    kernel: str

    @property
    def sees(self) -> str:
        """Which tokens a token sees, in words."""
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
    def _identity(self) -> tuple[Any, ...]:
        pattern = self.scope.pattern
        return (self.kind, pattern.query_lengths, pattern.causal, pattern.window, self.kernel)


@dataclass(frozen=True, eq=False)
class PackedBatch:
    """A D×N matrix that one stack of the core reads: the sequences of a batch, side by side.

    Args:
        name: tokens; in an encoder-decoder source and target.
        columns: which of `names` each token comes from.
        num_axes: how many position axes each of `names` has.
        memory: what a decoder attends to.
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
        return sum(self.lengths)

    @property
    def num_padded(self) -> int:
        """The tokens that there were if all sequences were padded to the longest."""
        return len(self.lengths) * max(self.lengths, default=0)

    @property
    def starts(self) -> Int[np.ndarray, " S1"]:
        """Where each sequence begins, and where the last one ends."""
        return np.cumsum([0, *self.lengths])

    def lengths_of(self, column: int) -> Int[np.ndarray, " S"]:
        """How many tokens each sequence has of a column."""
        before = np.concatenate([[0], np.cumsum(self.columns == column)])
        return np.diff(before[self.starts])


@torch.no_grad()
def observe(model: Any, batch: Batch) -> list[PackedBatch]:
    """The matrices that the core reads of a batch: one a pass, in an encoder-decoder two.

    Tasks that attend in different ways have passes of their own.
    """
    seen: list[PackedBatch] = []
    num_axes = {LEARNED: 1}
    with _coding(model, batch, num_axes), _witnessing(model.core, seen, num_axes):
        model.columns(batch)
    return seen


@contextmanager
def _coding(model: Any, batch: Batch, num_axes: dict[str, int]) -> Iterator[None]:
    """While it lasts, each token holds the number of its column, not its content.

    The columns are told by their order in `num_axes`.

    However a task arranges tokens, with whatever it puts between them, they are found again.
    """
    # tasks hide or shift values, but positions stay what the data worker made
    column_of = {
        id(features.positions): column
        for view in batch.task_batches.values()
        for column, features in view.features.items()
    }
    for name, view in batch.task_batches.items():
        if view.sequence is not None:
            column_of[id(view.sequence.positions)] = str(model.tasks[name].target)

    def code(name: str, given: Any, named: Any, tokens: Tokens) -> Tokens:
        features: Features = given[0] if given else named["features"]
        column = column_of.get(id(features.positions), name)
        num_axes.setdefault(column, tokens.positions.shape[0])
        rows = torch.zeros_like(tokens.rows, dtype=torch.float32)
        rows[:, 0] = _CODE * list(num_axes).index(column)
        starts = np.cumsum([0, *tokens.lengths])
        for start, length, own in zip(starts, tokens.lengths, features.lengths, strict=False):
            rows[start : start + max(0, length - own), 0] = 0  # its prefix
        return tokens.with_rows(rows)

    def hook(name: str) -> Any:
        return lambda module, given, named, tokens: code(name, given, named, tokens)

    hooks = [
        tokenizer.register_forward_hook(hook(name), with_kwargs=True)
        for name, tokenizer in model.tokenizers.items()
    ]
    try:
        yield
    finally:
        for one in hooks:
            one.remove()


class _ColumnRecorder(AttentionRecorder):
    """A Watch that keeps who may attend to whom, and no queries and keys."""

    def __init__(self, attentions: list[AttentionPattern]) -> None:
        super().__init__(depth=0)
        self.attentions = attentions

    def over(
        self,
        kind: AttentionKind,
        kernel: Kernel,
        pattern: AttentionSpec,
        lengths: tuple[int, ...],
        prefix: Sequence[int] | None = None,
    ) -> Kernel:
        found = AttentionPattern(
            kind, AttentionScope.of(kind, pattern, lengths, prefix), describe(kernel)
        )
        if all(found._identity != other._identity for other in self.attentions):
            self.attentions.append(found)  # blocks with positions of their own attend alike
        return kernel


@contextmanager
def _witnessing(core: Any, seen: list[PackedBatch], num_axes: Mapping[str, int]) -> Iterator[None]:
    """While it lasts, what a stack reads is kept, and how it attends."""

    def look(stack: TransformerStack, given: tuple[Any, ...]) -> None:
        tokens: Tokens = given[0]
        memory = seen[-1] if len(given) > 1 and given[1] is not None else None
        name = "tokens"
        if core.config.kind == "encoder-decoder":
            name = "source" if stack is core.encoder else "target"
        codes = (tokens.rows[:, 0].float() / _CODE).round().long().cpu().numpy()
        positions = tokens.positions.float().cpu().numpy()
        packed = PackedBatch(
            name, tokens.dim, tokens.lengths, positions, codes, list(num_axes), num_axes, memory
        )
        seen.append(packed)
        stack.recorder = _ColumnRecorder(packed.attentions)

    hooks = [stack.register_forward_pre_hook(look) for stack in core.stacks]
    try:
        yield
    finally:
        for hook, stack in zip(hooks, core.stacks, strict=True):
            hook.remove()
            stack.recorder = None


def describe(kernel: Kernel) -> str:
    """The names of the implementations that a kernel is made of."""
    if isinstance(kernel, PrefixKernel):
        return f"{describe(kernel.whole)}; prefixes: {describe(kernel.inner)}"
    if isinstance(kernel, Grouped):
        counts = Counter(describe(one) for one in kernel.kernels)
        told = ", ".join(f"{count} {name}" for name, count in counts.items())
        return f"Grouped ({told})"
    return type(kernel).__name__
