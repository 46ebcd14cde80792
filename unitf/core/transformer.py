"""Transformer: the core, which maps D×N to D×N."""

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import nn

from unitf.core.attention.cache import Cache
from unitf.core.auxiliary import CoreOutputs
from unitf.core.block import Block
from unitf.core.config import TransformerConfig
from unitf.core.residual import is_residual_output
from unitf.core.stack import TransformerStack
from unitf.errors import UserError
from unitf.nn.initialisation import initialise
from unitf.tokens import ColumnIndices, Tokens

__all__ = ["Transformer", "TransformerStack"]


class Transformer(nn.Module):
    """The core: an encoder, a decoder, or an encoder that a decoder attends to."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config: TransformerConfig = config
        self.encoder: TransformerStack | None = None
        self.decoder: TransformerStack | None = None
        if config.kind != "decoder":
            self.encoder = TransformerStack(config, config.depth, causal=False, cross=False)
        if config.kind == "decoder":
            self.decoder = TransformerStack(config, config.depth, causal=True, cross=False)
        elif config.kind == "encoder-decoder":
            self.decoder = TransformerStack(config, config.decoder_depth, causal=True, cross=True)
        initialise(self)
        self._scale_residual_outputs()

    def _scale_residual_outputs(self) -> None:
        """Scales initial weights as GPT-2 does: outputs do not grow with the number of layers."""
        for stack in self.stacks if self.config.norm_position == "pre" else ():
            layers = 2 if cast(Block, stack.blocks[0]).cross is None else 3
            number = layers * len(stack.drop_path)
            with torch.no_grad():
                for layer in filter(is_residual_output, stack.modules()):
                    cast(nn.Linear, layer).weight.mul_(number**-0.5)

    @property
    def stacks(self) -> Sequence[TransformerStack]:
        """Those of the encoder and the decoder that the configuration has."""
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
        """Returns the columns of `tokens`, each computed from its whole sequence.

        Args:
            tokens: the input columns; in an encoder-decoder, those of the decoder.
            memory: only in an encoder-decoder: the input of the encoder, one sequence for each
                sequence of `tokens`. None: only the encoder runs, on `tokens`.
            causal: whether a token sees only earlier tokens; None: as `config.kind` says.
            prefix: in a causal pass, the number of tokens at the beginning of each sequence that
                see each other.
            cache: the keys and values of earlier calls, which `tokens` continue; those of `tokens`
                are added to it. A memory, or a prefix, belongs to the first call only.
            output_columns: the columns to return; None: all.
            auxiliary: whether to return a `CoreOutputs` with what the blocks return beside their
                rows.

        Raises:
            UserError: the tokens have another width than the core, or the arguments do not go
                together.
        """
        if tokens.dim != self.config.dim:
            raise UserError(
                f"tokens are {tokens.dim} wide, but the core's dim is {self.config.dim}"
            )
        if memory is None and (cache is None or not cache.memories):
            outputs = self.stacks[0](
                tokens, causal=causal, prefix=prefix, cache=cache, output_columns=output_columns
            )
            return outputs if auxiliary else outputs.tokens
        if self.config.kind != "encoder-decoder":
            raise UserError(f"a core of kind {self.config.kind!r} cannot read a memory")
        encoded = None if memory is None else self._encode(memory)
        outputs = self._decode(tokens, encoded and encoded.tokens, causal, cache, output_columns)
        if encoded is not None:
            outputs = CoreOutputs(outputs.tokens, [*encoded.auxiliary, *outputs.auxiliary])
        return outputs if auxiliary else outputs.tokens

    def encode(self, tokens: Tokens) -> Tokens:
        """Returns the memory that the encoder of an encoder-decoder computes from `tokens`."""
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
        """Returns the decoder's columns, given a memory that `encode` returned.

        Args:
            memory: None: the cache holds its keys and values.

        Raises:
            UserError: a memory is missing in the first call with a cache, or present in a later
                one; or there is not one memory for each sequence.
        """
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
        """Compiles each block in place; lengths may differ from batch to batch."""
        for stack in self.stacks:
            stack.compiled = True
            for block in stack.blocks:
                cast(_Compiles, block).compile(dynamic=True)


class _Compiles(Protocol):
    """`nn.Module.compile`, whose arguments torch leaves without types."""

    def compile(self, *, dynamic: bool) -> None: ...
