"""Transformer: D×N to D×N."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from unitf.core.attention.cache import Cache, CacheCall
from unitf.core.attention.context import BlockContext
from unitf.core.attention.kernels import Kernel, make_kernel
from unitf.core.attention.prefix import make_prefix_kernel
from unitf.core.attention.sdpa import AttentionSpec
from unitf.core.auxiliary import BlockAuxiliary, CoreOutputs
from unitf.core.block import Block, BlockOutput, make_blocks
from unitf.core.config import TransformerConfig
from unitf.core.dropout import dropout
from unitf.core.norms import make_norm
from unitf.core.recorder import AttentionRecorder
from unitf.core.relative_positions import (
    RelativePositions,
    make_positions,
    make_positions_per_block,
)
from unitf.core.residual import is_residual_output
from unitf.errors import UserError
from unitf.nn.initialisation import initialise
from unitf.tokens import ColumnIndices, Tokens


class TransformerStack(nn.Module):
    """Blocks, one after the other, and what they share: an encoder, or a decoder."""

    def __init__(self, config: TransformerConfig, depth: int, causal: bool, cross: bool) -> None:
        super().__init__()
        self.causal = causal
        self.config = config
        self.compiled = False
        self.recorder: AttentionRecorder | None = (
            None  # who sees queries and keys, see `recording_attention`
        )
        self.positions, self.global_positions = make_positions(config, causal), None
        if config.global_rotary:
            self.global_positions = make_positions(config.of_global_blocks, causal)
        self.input_norm = make_norm(config) if config.input_norm else None
        self.blocks = nn.ModuleList(make_blocks(config, depth, cross))
        # not in the blocks: they are read before a block runs (and FSDP has its parameters at hand)
        own = make_positions_per_block(config, len(self.blocks), causal)
        self.own_positions = nn.ModuleList(own)
        self.final_norm = make_norm(config) if config.final_norm else None
        self.drop_path = [config.drop_path * i / max(1, depth - 1) for i in range(depth)]

    def forward(
        self,
        tokens: Tokens,
        memory: Tokens | None = None,
        causal: bool | None = None,
        prefix: Sequence[int] | None = None,
        cache: Cache | None = None,
        output_columns: ColumnIndices | None = None,
    ) -> CoreOutputs:
        # a compiled block that once saw a view is compiled anew for what is none
        rows = tokens.rows.clone() if self.compiled else tokens.rows
        if self.input_norm is not None:
            rows = self.input_norm(rows)
        rows = dropout(rows, self.config.input_dropout, self.blocks[0].training)
        causal = self.causal if causal is None else causal
        call = None if cache is None else self._call(cache, tokens, causal, prefix)
        contexts = self._contexts(tokens, memory, causal, prefix if causal else None, call)
        run = _run_twice if self.config.gradient_checkpointing and self.training else _run
        # blocks that never skip get a `keep` too: compiled, they are then the same as the others
        drop = self.drop_path[-1] > 0
        spares = output_columns is not None and self._can_spare()
        auxiliary: list[BlockAuxiliary] = []
        for number, (context, rate) in enumerate(zip(contexts, self.drop_path, strict=True)):
            block = self.blocks[number % len(self.blocks)]
            keep = self._keep(tokens, rate) if drop and block.training else None
            if output_columns is not None and spares and number == len(contexts) - 1:
                context = replace(context, output_columns=output_columns.index)
            output = run(block, rows, context, keep)
            if isinstance(output, tuple):
                rows, terms = output
                name = "decoder" if self.causal else "encoder"
                auxiliary.append(BlockAuxiliary(name, number, tokens.num_tokens, terms))
            else:
                rows = output
        if self.final_norm is not None:
            rows = self.final_norm(rows)
        if output_columns is None:
            return CoreOutputs(tokens.with_rows(rows), auxiliary)
        tokens = (
            tokens.at(output_columns, rows) if spares else tokens.with_rows(rows).at(output_columns)
        )
        return CoreOutputs(tokens, auxiliary)

    def _can_spare(self) -> bool:
        """Whether the last block may leave out rows that nobody reads."""
        # a batch norm counts all tokens, as do the terms of a feed-forward; a compiled block would
        # be compiled once more
        last = self.blocks[-1]
        assert isinstance(last, Block)
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
        """Everything that depends on lengths and positions: for every block, once a kind."""
        kinds: dict[tuple[bool, bool, RelativePositions], BlockContext] = {}
        contexts = []
        for number in range(len(self.drop_path)):
            # a frozen block is in evaluation mode, among others that are not
            training = self.blocks[number % len(self.blocks)].training
            everything = number in (self.config.global_blocks or ())
            positions = self._positions(number, everything)
            kind = training, everything, positions
            if kind not in kinds:
                attend_memory = None
                if memory is not None:
                    pattern = self._pattern(tokens.lengths, memory.lengths, training)
                    attend_memory = self._kernel(pattern, tokens)
                    if self.recorder is not None:
                        attend_memory = self.recorder.over(
                            "cross", attend_memory, pattern, tokens.lengths
                        )
                kinds[kind] = BlockContext(
                    self._attend(tokens, positions, everything, causal, training, prefix, call),
                    rotation=positions.rotation(tokens.positions),
                    memory=None if memory is None else memory.rows,
                    attend_memory=attend_memory,
                )
            context = kinds[kind]
            if call is not None:
                of_memory = () if memory is None else memory.lengths
                pattern = self._pattern(tokens.lengths, of_memory, training)
                context = call.bind(number, context, pattern)
            contexts.append(context)
        return contexts

    def _positions(self, number: int, everything: bool) -> RelativePositions:
        """By which the block of this number knows where tokens stand."""
        if self.own_positions:
            own = self.own_positions[number % len(self.own_positions)]
            assert isinstance(own, RelativePositions)
            return own
        if everything and self.global_positions is not None:
            return self.global_positions
        return self.positions

    def _attend(
        self,
        tokens: Tokens,
        positions: RelativePositions,
        everything: bool,
        causal: bool,
        training: bool,
        prefix: Sequence[int] | None,
        call: CacheCall | None,
    ) -> Kernel:
        """How tokens look at each other: at all, or as far as window and chunk let them."""
        window, chunk = self.config.window, self.config.chunk
        if everything:
            window = chunk = None
        lengths = tokens.lengths if chunk is None else cut(tokens.lengths, chunk)
        pattern = self._pattern(lengths, lengths, training)
        pattern = replace(pattern, causal=causal, window=window)
        if positions.biased:
            pattern = replace(pattern, bias=positions, positions=tokens.positions)
        if call is not None and not call.is_first:
            return call.decode(pattern, chunk, _computed_in(tokens.matrix))
        if prefix is not None and chunk is not None:
            raise UserError("a prefix does not go together with chunk, which cuts sequences")
        if prefix is None:
            kernel = self._kernel(pattern, tokens)
        else:
            device, dtype = tokens.matrix.device, _computed_in(tokens.matrix)
            kernel = make_prefix_kernel(pattern, prefix, device, dtype)
        if self.recorder is not None:
            kernel = self.recorder.over("self", kernel, pattern, tokens.lengths, prefix)
        return kernel if call is None else call.prefill(kernel, pattern, chunk)

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
        return make_kernel(pattern, tokens.matrix.device, _computed_in(tokens.matrix))

    def _keep(self, tokens: Tokens, rate: float) -> Float[Tensor, "3 N 1"]:
        """0 for the sequences that skip a layer, else what makes up for those that do."""
        kept = torch.rand(3, tokens.num_sequences, device=tokens.matrix.device) >= rate
        lengths = tokens.offsets.diff()
        scale = kept.to(tokens.matrix.dtype) / (1 - rate)
        return scale.repeat_interleave(lengths, dim=1, output_size=tokens.num_tokens)[..., None]


class Transformer(nn.Module):
    """The core: an encoder, a decoder, or an encoder that a decoder attends to."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = self.decoder = None
        if config.kind != "decoder":
            self.encoder = TransformerStack(config, config.depth, causal=False, cross=False)
        if config.kind == "decoder":
            self.decoder = TransformerStack(config, config.depth, causal=True, cross=False)
        elif config.kind == "encoder-decoder":
            self.decoder = TransformerStack(config, config.decoder_depth, causal=True, cross=True)
        initialise(self)
        self._scale_residual_outputs()

    def _scale_residual_outputs(self) -> None:
        """As in GPT-2: what the layers add to the columns does not grow with their number."""
        for stack in self.stacks if self.config.norm_position == "pre" else ():
            layers = 2 if stack.blocks[0].cross is None else 3
            number = layers * len(stack.drop_path)
            with torch.no_grad():
                for layer in filter(is_residual_output, stack.modules()):
                    cast(nn.Linear, layer).weight.mul_(number**-0.5)

    @property
    def stacks(self) -> Sequence[TransformerStack]:
        """The encoder and the decoder, as far as the configuration has them."""
        return [stack for stack in (self.encoder, self.decoder) if stack is not None]

    def forward(
        self,
        tokens: Tokens,
        memory: Tokens | None = None,
        causal: bool | None = None,
        prefix: Sequence[int] | None = None,
        cache: Cache | None = None,
        output_columns: ColumnIndices | None = None,
        auxiliary: bool = False,
    ) -> Tokens | CoreOutputs:
        """The columns of `tokens`, each after a look at its sequence.

        Args:
            tokens: what the columns are made of: in an encoder-decoder, the decoder's.
            memory: only in an encoder-decoder: what its encoder reads first, a sequence each;
                None: the tokens are for its encoder alone.
            causal: whether a token sees only what came before; None: as the kind says.
            prefix: where it does: so many tokens at the beginning of each sequence see each other.
            cache: what was read before, of which the tokens are the continuation; they are kept in
                it too. A memory, or a prefix, is given in the first call alone.
            read: the columns that are wanted; only these are given. None: all.
            auxiliary: whether to return also what the blocks return beside their rows.
        """
        if tokens.dim != self.config.dim:
            raise UserError(
                f"tokens are {tokens.dim} wide, but the core's dim is {self.config.dim}"
            )
        if memory is None and (cache is None or not cache.memories):
            found = self.stacks[0](
                tokens, causal=causal, prefix=prefix, cache=cache, output_columns=output_columns
            )
            return found if auxiliary else found.tokens
        if self.config.kind != "encoder-decoder":
            raise UserError(f"a core of kind {self.config.kind!r} cannot read a memory")
        encoded = None if memory is None else self._encode(memory)
        found = self._decode(tokens, encoded and encoded.tokens, causal, cache, output_columns)
        if encoded is not None:
            found = CoreOutputs(found.tokens, [*encoded.auxiliary, *found.auxiliary])
        return found if auxiliary else found.tokens

    def encode(self, tokens: Tokens) -> Tokens:
        """What the encoder of an encoder-decoder makes of a memory."""
        return self._encode(tokens).tokens

    def _encode(self, tokens: Tokens) -> CoreOutputs:
        assert self.encoder is not None
        return self.encoder(tokens)

    def decode(
        self,
        tokens: Tokens,
        memory: Tokens | None,
        causal: bool | None = None,
        cache: Cache | None = None,
        output_columns: ColumnIndices | None = None,
    ) -> Tokens:
        """The decoder's columns over a memory that was encoded before, or lies in the cache."""
        return self._decode(tokens, memory, causal, cache, output_columns).tokens

    def _decode(
        self,
        tokens: Tokens,
        memory: Tokens | None,
        causal: bool | None,
        cache: Cache | None,
        output_columns: ColumnIndices | None,
    ) -> CoreOutputs:
        assert self.decoder is not None
        if (memory is None) != (cache is not None and not cache.is_empty):
            raise UserError("a memory is read in the first call with a cache, and only then")
        if memory is not None and memory.num_sequences != tokens.num_sequences:
            raise UserError(
                f"{tokens.num_sequences} sequences cannot read {memory.num_sequences} memories"
            )
        return self.decoder(tokens, memory, causal, cache=cache, output_columns=output_columns)

    def compile_blocks(self) -> None:
        """Compiles the repeated block in place; lengths may differ from batch to batch."""
        for stack in self.stacks:
            stack.compiled = True
            for block in stack.blocks:
                block.compile(dynamic=True)


def _run(block: nn.Module, *inputs: Any) -> BlockOutput:
    return block(*inputs)


def _run_twice(block: nn.Module, *inputs: Any) -> BlockOutput:
    """Keeps the inputs alone, and computes the rest again on the way back."""
    output: Any = checkpoint(block, *inputs, use_reentrant=False)
    return output


def _computed_in(tensor: Tensor) -> torch.dtype:
    """The dtype of queries, keys and values made from `tensor`."""
    kind = tensor.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return tensor.dtype


def cut(lengths: Sequence[int], chunk: int) -> tuple[int, ...]:
    """The lengths of the pieces when every sequence is cut after each `chunk` tokens."""
    return tuple(
        min(chunk, length - start) for length in lengths for start in range(0, length, chunk)
    )
