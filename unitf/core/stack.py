"""TransformerStack: the blocks of an encoder, or of a decoder, one after the other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf.core.attention.cache import Cache, CacheCall
from unitf.core.attention.cached import MemoryKernel
from unitf.core.attention.context import BlockContext
from unitf.core.attention.kernel import Kernel
from unitf.core.attention.kernels import make_kernel
from unitf.core.attention.prefix import make_prefix_kernel
from unitf.core.attention.sdpa import AttentionSpec
from unitf.core.auxiliary import BlockAuxiliary, CoreOutputs
from unitf.core.block import Block, make_blocks
from unitf.core.config import TransformerConfig
from unitf.core.dropout import dropout
from unitf.core.norms import Norm, make_norm
from unitf.core.passes import computed_in, run_once, run_twice
from unitf.core.recorder import AttentionRecorder
from unitf.core.relative_positions import (
    RelativePositions,
    make_positions,
    make_positions_per_block,
)
from unitf.errors import UserError
from unitf.tokens import ColumnIndices, Tokens


class TransformerStack(nn.Module):
    """Blocks, one after the other, and what they share: an encoder, or a decoder.

    Args:
        depth: the number of blocks.
        causal: whether a token sees only earlier tokens, unless a call says otherwise.
        cross: whether the blocks attend to a memory too.
    """

    if TYPE_CHECKING:

        def __call__(
            self,
            tokens: Tokens,
            memory: Tokens | None = None,
            causal: bool | None = None,
            prefix: Sequence[int] | None = None,
            cache: Cache | None = None,
            output_columns: ColumnIndices | None = None,
        ) -> CoreOutputs: ...

    def __init__(self, config: TransformerConfig, depth: int, causal: bool, cross: bool) -> None:
        super().__init__()
        self.causal: bool = causal
        self.config: TransformerConfig = config
        self.compiled: bool = False
        # it sees the queries and keys of each call, see `recording_attention`
        self.recorder: AttentionRecorder | None = None
        self.positions: RelativePositions = make_positions(config, causal)
        self.global_positions: RelativePositions | None = None
        if config.global_rotary:
            self.global_positions = make_positions(config.of_global_blocks, causal)
        self.input_norm: Norm | None = make_norm(config) if config.input_norm else None
        self.blocks: nn.ModuleList = nn.ModuleList(make_blocks(config, depth, cross))
        # not in the blocks: they are read before a block runs (and FSDP has its parameters at hand)
        per_block = make_positions_per_block(config, len(self.blocks), causal)
        self.own_positions: nn.ModuleList = nn.ModuleList(per_block)
        self.final_norm: Norm | None = make_norm(config) if config.final_norm else None
        self.drop_path: list[float] = [
            config.drop_path * i / max(1, depth - 1) for i in range(depth)
        ]

    def forward(
        self,
        tokens: Tokens,
        memory: Tokens | None = None,
        causal: bool | None = None,
        prefix: Sequence[int] | None = None,
        cache: Cache | None = None,
        output_columns: ColumnIndices | None = None,
    ) -> CoreOutputs:
        """Returns the columns after all blocks; see `Transformer.forward` for the arguments.

        Raises:
            UserError: the cache, the prefix and the configuration do not go together.
        """
        # a compiled block that once saw a view is compiled anew for what is none
        rows = tokens.rows.clone() if self.compiled else tokens.rows
        if self.input_norm is not None:
            rows = self.input_norm(rows)
        rows = dropout(rows, self.config.input_dropout, self.blocks[0].training)
        causal = self.causal if causal is None else causal
        call = None if cache is None else self._call(cache, tokens, causal, prefix)
        contexts = self._contexts(tokens, memory, causal, prefix if causal else None, call)
        skips_rows = output_columns is not None and self._can_skip_rows()
        if output_columns is not None and skips_rows:
            contexts[-1] = replace(contexts[-1], output_columns=output_columns.index)
        rows, auxiliary = self._run_blocks(tokens, rows, contexts)
        if self.final_norm is not None:
            rows = self.final_norm(rows)
        if output_columns is None:
            return CoreOutputs(tokens.with_rows(rows), auxiliary)
        if skips_rows:
            return CoreOutputs(tokens.at(output_columns, rows), auxiliary)
        return CoreOutputs(tokens.with_rows(rows).at(output_columns), auxiliary)

    def _run_blocks(
        self, tokens: Tokens, rows: Tensor, contexts: Sequence[BlockContext]
    ) -> tuple[Tensor, list[BlockAuxiliary]]:
        """Returns the rows after all blocks, and what the blocks return beside them."""
        run = run_twice if self.config.gradient_checkpointing and self.training else run_once
        # blocks that never skip get a `keep` too: compiled, they are then the same as the others
        drop = self.drop_path[-1] > 0
        name = "decoder" if self.causal else "encoder"
        auxiliary: list[BlockAuxiliary] = []
        for number, (context, rate) in enumerate(zip(contexts, self.drop_path, strict=True)):
            block = self._block(number)
            keep = self._keep(tokens, rate) if drop and block.training else None
            output = run(block, rows, context, keep)
            if isinstance(output, tuple):
                rows, terms = output
                auxiliary.append(BlockAuxiliary(name, number, tokens.num_tokens, terms))
            else:
                rows = output
        return rows, auxiliary

    def _block(self, number: int) -> Block:
        """Returns the block of layer `number`; layers share it with `share_blocks`."""
        return cast(Block, self.blocks[number % len(self.blocks)])

    def _can_skip_rows(self) -> bool:
        """Whether the last block may leave out rows that nobody reads."""
        # a batch norm counts all tokens, as do the terms of a feed-forward; a compiled block would
        # be compiled once more
        last = self._block(-1)
        has_terms = last.training and last.feedforward.has_auxiliary
        return not (self.config.norm_over_tokens or has_terms or self.compiled)

    def _call(
        self, cache: Cache, tokens: Tokens, causal: bool, prefix: Sequence[int] | None
    ) -> CacheCall:
        if not causal or not (prefix is None or cache.is_empty):
            raise UserError("a cache is for causal cores, and a prefix for the first call with it")
        window, chunk = self.config.window, self.config.chunk
        reaches = [chunk, None if window is None else window + 1]
        return CacheCall(cache, tokens, min((r for r in reaches if r is not None), default=None))

    def _contexts(
        self,
        tokens: Tokens,
        memory: Tokens | None,
        causal: bool,
        prefix: Sequence[int] | None,
        call: CacheCall | None,
    ) -> list[BlockContext]:
        """Returns the context of each layer; layers of one kind share what it is made of."""
        kinds: dict[_LayerKind, BlockContext] = {}
        contexts: list[BlockContext] = []
        for number in range(len(self.drop_path)):
            # a frozen block is in evaluation mode, among others that are not
            training = self._block(number).training
            is_global = number in (self.config.global_blocks or ())
            kind = _LayerKind(training, is_global, self._positions(number, is_global))
            if kind not in kinds:
                kinds[kind] = BlockContext(
                    attend_memory=self._attend_memory(tokens, memory, training),
                    attend=self._attend(tokens, kind, causal, prefix, call),
                    rotation=kind.positions.rotation(tokens.positions),
                    memory=None if memory is None else memory.rows,
                )
            context = kinds[kind]
            if call is not None:
                memory_lengths = () if memory is None else memory.lengths
                memory_pattern = self._pattern(tokens.lengths, memory_lengths, training)
                context = call.bind(number, context, memory_pattern)
            contexts.append(context)
        return contexts

    def _positions(self, number: int, is_global: bool) -> RelativePositions:
        """Returns the relative-position module of block `number`."""
        if self.own_positions:
            per_block = self.own_positions[number % len(self.own_positions)]
            assert isinstance(per_block, RelativePositions)
            return per_block
        if is_global and self.global_positions is not None:
            return self.global_positions
        return self.positions

    def _attend(
        self,
        tokens: Tokens,
        kind: "_LayerKind",
        causal: bool,
        prefix: Sequence[int] | None,
        call: CacheCall | None,
    ) -> Kernel:
        """Returns the kernel of self-attention, within the window and chunk of this kind."""
        window, chunk = self.config.window, self.config.chunk
        if kind.is_global:
            window = chunk = None
        lengths = tokens.lengths if chunk is None else cut(tokens.lengths, chunk)
        pattern = self._pattern(lengths, lengths, kind.training)
        pattern = replace(pattern, causal=causal, window=window)
        if kind.positions.biased:
            pattern = replace(pattern, bias=kind.positions, positions=tokens.positions)
        if call is not None and not call.is_first:
            return call.decode(pattern, chunk, computed_in(tokens.matrix))
        if prefix is not None and chunk is not None:
            raise UserError("a prefix does not go together with chunk, which cuts sequences")
        if prefix is None:
            kernel = self._kernel(pattern, tokens)
        else:
            device, dtype = tokens.matrix.device, computed_in(tokens.matrix)
            kernel = make_prefix_kernel(pattern, prefix, device, dtype)
        if self.recorder is not None:
            kernel = self.recorder.over("self", kernel, pattern, tokens.lengths, prefix)
        return kernel if call is None else call.prefill(kernel, pattern, chunk)

    def _attend_memory(
        self, tokens: Tokens, memory: Tokens | None, training: bool
    ) -> MemoryKernel | None:
        """Returns the kernel of attention to a memory; None: there is no memory in this call."""
        if memory is None:
            return None
        pattern = self._pattern(tokens.lengths, memory.lengths, training)
        kernel = self._kernel(pattern, tokens)
        if self.recorder is not None:
            kernel = self.recorder.over("cross", kernel, pattern, tokens.lengths)
        return cast(MemoryKernel, kernel)

    def _pattern(
        self, lengths: tuple[int, ...], key_lengths: tuple[int, ...], training: bool
    ) -> AttentionSpec:
        config = self.config
        return AttentionSpec(
            lengths,
            key_lengths,
            dropout=config.attention_dropout if training else 0.0,
            head_dim=config.head_dim,
            scale=config.attention_scale,
            softcap=config.attention_softcap,
        )

    def _kernel(self, pattern: AttentionSpec, tokens: Tokens) -> Kernel:
        return make_kernel(pattern, tokens.matrix.device, computed_in(tokens.matrix))

    def _keep(self, tokens: Tokens, rate: float) -> Float[Tensor, "3 N 1"]:
        """Returns 0 for sequences that skip a layer, and 1 / (1 - rate) for the others."""
        kept = torch.rand(3, tokens.num_sequences, device=tokens.matrix.device) >= rate
        lengths = tokens.offsets.diff()
        scale = kept.to(tokens.matrix.dtype) / (1 - rate)
        return scale.repeat_interleave(lengths, dim=1, output_size=tokens.num_tokens)[..., None]


@dataclass(frozen=True)
class _LayerKind:
    """What the layers that share kernels have in common."""

    training: bool
    is_global: bool
    positions: RelativePositions


def cut(lengths: Iterable[int], chunk: int) -> tuple[int, ...]:
    """Returns the lengths of the pieces of sequences that are cut after each `chunk` tokens."""
    return tuple(
        min(chunk, length - start) for length in lengths for start in range(0, length, chunk)
    )
