"""TransformerConfig: the configuration of a Transformer, as plain values."""

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from unitf.core import named
from unitf.core.choices import (
    CHOICES,
    SIZES,
    ArchitectureKind,
    NormPosition,
    PresetSize,
    Residuals,
    check_name,
)
from unitf.core.named import Named
from unitf.core.validation import broken
from unitf.errors import UserError

if TYPE_CHECKING:
    # a finished configuration has a value in each of these fields …
    DerivedInt = int
    DerivedBool = bool
    DerivedFloat = float
else:
    # … which may be None when it is written
    DerivedInt = int | None
    DerivedBool = bool | None
    DerivedFloat = float | None


class _NormClass(Protocol):
    over_tokens: bool


class _ActivationClass(Protocol):
    num_inputs: int


@dataclass(frozen=True)
class TransformerConfig:
    """The configuration of a Transformer. Values that are None follow from the others.

    `norm`, `activation`, `feedforward` and `relative_positions` name registered classes, of unitf
    or of a plugin: `rms`, or `{DynamicTanh: {alpha: 0.8}}`.

    Args:
        size: a published name for dim, depth and num_heads; each of them may be set as well.
        dim: D, the width of a token.
        depth: number of blocks (in an encoder-decoder: of the encoder).
        kind: a token of an encoder sees all tokens, one of a decoder only earlier tokens; the
            decoder of an encoder-decoder also sees the memory that its encoder has read.
        decoder_depth: blocks of the decoder of an encoder-decoder; None: `depth`.
        share_blocks: one block's parameters are used `depth` times (ALBERT).
        residual: attention before the feed-forward ("sequential"); or both read the same columns,
            each with its own norm ("parallel": GPT-NeoX), or with one norm for both
            ("parallel_shared": GPT-J, Phi).
        num_kv_heads: heads of keys and values, each shared by several queries; None: `num_heads`.
        head_dim: width of a head; None: dim / num_heads.
        hidden_dim: width inside the feed-forward; None: 4 D, or 8/3 D if it has a gate, which is
            the same number of parameters.
        feedforward: what a block computes for each token: dense, or MixtureOfExperts.
        activation: of the feed-forward: gelu, gelu_tanh, quick_gelu, relu, silu, or a gate (geglu,
            geglu_tanh, reglu, swiglu).
        norm: layer, rms, rms_offset (an RMSNorm whose scale is 1 + weight: Gemma), or batch.
        norm_position: before each layer ("pre"); after its residual sum ("post"); after the layer,
            before the sum ("res_post": EVA-giant, Swin v2); or both before and after the layer
            ("sandwich": Gemma 2).
        input_norm: whether the tokens are normalised before the first block.
        first_norm: whether the first block's attention normalises its input (ModernBERT: no).
        final_norm: whether there is a norm after the last block; None: unless norm_position is
            "post".
        qk_norm: whether queries and keys are normalised over head_dim, before rotary positions
            turn them.
        attention_norm: whether the output of attention is normalised over all heads (EVA-02).
        hidden_norm: whether the numbers inside the feed-forward are normalised (EVA-02).
        bias: whether linear layers and norms have a bias.
        qkv_bias: whether queries, keys and values have a bias; None: as `bias`.
        key_bias: whether keys have a bias if queries and values do (BEiT, EVA: no).
        attention_out_bias: whether the projection after attention has a bias; None: as `bias`.
        norm_bias: whether layer norms have a bias; None: as `bias`.
        attention_scale: the factor of the scores; None: head_dim^-0.5.
        attention_softcap: scores lie between ± this, as cap·tanh(score / cap) (Gemma 2).
        relative_positions: how attention knows where tokens stand relative to each other: none,
            rotary, alibi, t5, beit, or rope_mixed (rotary, with angles that each head of each block
            learns: RoPE-Mixed).
        position_axes: the number of position axes that rotary uses: 1 in a text, 2 in an image.
        rotary_dim: how many numbers of a head turn, from the first; None: head_dim.
        rotary_frequencies: the angle per position of each pair that turns, axis by axis; None:
            rotary_base^(-i / pairs of the axis).
        num_buckets: for relative_positions "t5": the rows of the learned table of distances.
        max_distance: for relative_positions "t5": larger distances count as this one.
        grid: for relative_positions "beit": the numbers of rows and columns of patches; each block
            learns a table of the distances between them. A token whose row is -1 is outside the
            grid (a class token).
        window: the largest distance of tokens that a token sees; None: no limit.
        chunk: sequences are cut in pieces of this many tokens; a token sees only its own piece.
        global_blocks: the numbers, from 0, of the blocks without a window and a chunk.
        global_rotary_base: rotary_base of those blocks; None: as the others.
        global_rotary_frequencies: rotary_frequencies of those blocks; None: as the others, or by
            their own base.
        dropout: dropout of what each layer adds to the columns (Vaswani et al., 2017).
        input_dropout: dropout of the tokens before the first block. Vaswani et al. use it, with the
            same probability, on the sums of embeddings and positions.
        activation_dropout: dropout inside the feed-forward, after the activation; None: as
            `dropout` (Vaswani et al. and most published models: 0).
        attention_dropout: dropout of the attention weights.
        drop_path: probability that the last block is skipped for a sequence; that of the others
            rises linearly from 0.
        layer_scale: the initial value of the learned scales of each layer's output; None: no
            scales.
        gradient_checkpointing: whether each block is computed twice in training, to save memory.
    """

    size: PresetSize = "tiny"
    dim: DerivedInt = None  # type: ignore[assignment]
    depth: DerivedInt = None  # type: ignore[assignment]
    num_heads: DerivedInt = None  # type: ignore[assignment]
    kind: ArchitectureKind = "encoder"
    decoder_depth: DerivedInt = None  # type: ignore[assignment]
    share_blocks: bool = False
    residual: Residuals = "sequential"
    num_kv_heads: DerivedInt = None  # type: ignore[assignment]
    head_dim: DerivedInt = None  # type: ignore[assignment]
    hidden_dim: DerivedInt = None  # type: ignore[assignment]
    feedforward: Named = "dense"
    activation: Named = "gelu"
    norm: Named = "layer"
    norm_position: NormPosition = "pre"
    norm_eps: float = 1e-5
    input_norm: bool = False
    first_norm: bool = True
    final_norm: DerivedBool = None  # type: ignore[assignment]
    qk_norm: bool = False
    attention_norm: bool = False
    hidden_norm: bool = False
    bias: bool = True
    qkv_bias: DerivedBool = None  # type: ignore[assignment]
    key_bias: bool = True
    attention_out_bias: DerivedBool = None  # type: ignore[assignment]
    norm_bias: DerivedBool = None  # type: ignore[assignment]
    attention_scale: float | None = None
    attention_softcap: float | None = None
    relative_positions: Named = "none"
    position_axes: int = 1
    rotary_base: float = 10_000.0
    rotary_dim: int | None = None
    rotary_frequencies: list[float] | None = None
    num_buckets: int = 32
    max_distance: int = 128
    grid: list[int] | None = None
    window: int | None = None
    chunk: int | None = None
    global_blocks: list[int] | None = None
    global_rotary_base: float | None = None
    global_rotary_frequencies: list[float] | None = None
    dropout: float = 0.0
    input_dropout: float = 0.0
    activation_dropout: DerivedFloat = None  # type: ignore[assignment]
    attention_dropout: float = 0.0
    drop_path: float = 0.0
    layer_scale: float | None = None
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            check_name(f"TransformerConfig.{name}", getattr(self, name), choices)
        for name in named.FIELDS:
            object.__setattr__(self, name, named.normalised(name, getattr(self, name)))
        dim, depth, num_heads = SIZES[self.size]
        self._default("dim", dim)
        self._default("depth", depth)
        self._default("num_heads", num_heads if self.dim == dim else max(1, self.dim // 64))
        self._default("decoder_depth", self.depth)
        self._default("num_kv_heads", self.num_heads)
        self._check(self.num_heads > 0, "num_heads must be at least 1")
        if getattr(self, "head_dim", None) is None:
            self._check(
                self.dim % self.num_heads == 0,
                f"dim {self.dim} cannot be divided among num_heads {self.num_heads}; "
                "give a num_heads that divides it, or head_dim",
            )
            self._default("head_dim", self.dim // self.num_heads)
        hidden = round(self.dim * 8 / 3 / 8) * 8 if self.gated else 4 * self.dim
        self._default("hidden_dim", hidden)
        self._default("activation_dropout", self.dropout)
        self._default("final_norm", self.norm_position != "post")
        for name in ("qkv_bias", "attention_out_bias", "norm_bias"):
            self._default(name, self.bias)
        for message in broken(self):
            self._check(False, message)

    def _default(self, name: str, value: object) -> None:
        if getattr(self, name) is None:
            object.__setattr__(self, name, value)

    def _check(self, holds: bool, message: str) -> None:
        if not holds:
            raise UserError(f"TransformerConfig: {message}")

    @property
    def gated(self) -> bool:
        """Whether the feed-forward multiplies by a gate."""
        cls = named.class_of("activation", self.activation)
        return cast(_ActivationClass, cls).num_inputs > 1

    @property
    def norm_over_tokens(self) -> bool:
        """Whether the norm depends on several tokens at once."""
        return cast(_NormClass, named.class_of("norm", self.norm)).over_tokens

    @property
    def global_rotary(self) -> bool:
        """Whether the global blocks have other rotary angles than the others."""
        return self.global_rotary_base is not None or self.global_rotary_frequencies is not None

    @property
    def of_global_blocks(self) -> "TransformerConfig":
        """The same configuration, as if all blocks were in `global_blocks`."""
        base, frequencies = self.rotary_base, self.rotary_frequencies
        if self.global_rotary_base is not None:
            base, frequencies = self.global_rotary_base, None
        if self.global_rotary_frequencies is not None:
            frequencies = self.global_rotary_frequencies
        return replace(
            self,
            window=None,
            chunk=None,
            rotary_base=base,
            rotary_frequencies=frequencies,
            global_blocks=None,
            global_rotary_base=None,
            global_rotary_frequencies=None,
        )

    @classmethod
    def preset(cls, size: str, **overrides: Any) -> "TransformerConfig":
        """Returns the configuration of a published size: tiny, small, base or large.

        Args:
            overrides: any other values, by name.
        """
        check_name("TransformerConfig.preset", size, SIZES)
        for name in overrides:
            check_name("TransformerConfig", name, [field.name for field in fields(cls)])
        return cls(size=size, **overrides)  # type: ignore[arg-type]
