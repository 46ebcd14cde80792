"""TransformerConfig: everything that says what a Transformer is, as plain values."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from unitf.errors import UserError

Kind = Literal["encoder", "decoder", "encoder-decoder"]
Norm = Literal["layer", "rms", "batch"]
NormPosition = Literal["pre", "post"]
Activation = Literal["gelu", "gelu_tanh", "relu", "silu", "geglu", "reglu", "swiglu"]
Positions = Literal["none", "rotary", "alibi"]
Size = Literal["tiny", "small", "base", "large"]

# dim, depth, num_heads as in ViT (Dosovitskiy et al., 2021) and DeiT (Touvron et al., 2021)
SIZES: dict[str, tuple[int, int, int]] = {
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
}
GATED = ("geglu", "reglu", "swiglu")

if TYPE_CHECKING:
    Follows = int  # whoever reads a configuration finds a number …
else:
    Follows = int | None  # … where whoever wrote it may have left it open


@dataclass(frozen=True)
class TransformerConfig:
    """What a Transformer is. Values that are None follow from the others.

    Args:
        size: a published name for dim, depth and num_heads; each can still be given.
        dim: D, the width of a token.
        depth: number of blocks (in an encoder-decoder: of the encoder).
        kind: an encoder sees everything, a decoder only what came before, an encoder-decoder
            reads a memory and continues from it.
        decoder_depth: blocks of the decoder of an encoder-decoder; None: `depth`.
        num_kv_heads: heads of keys and values, each shared by several queries; None: `num_heads`.
        head_dim: width of a head; None: dim / num_heads.
        hidden_dim: width inside the feed-forward; None: 4 D, or 8/3 D where it is gated, so that
            both have as many parameters.
        norm_position: before each layer (with a norm at the end), or after its residual sum.
        input_norm: normalise the tokens before the first block.
        positions: how attention knows where tokens stand, relative to each other.
        position_axes: how many axes of the positions rotary turns by: 1 in a text, 2 in an image.
        window: a token sees only those at most this many places away.
        chunk: sequences are cut in pieces of this many tokens; a token sees only its own piece.
        drop_path: chance that the last block is skipped for a sequence; it rises linearly from 0.
        layer_scale: where the learned scales of each layer's output begin; None: no scales.
        checkpoint: compute each block twice in training and keep less in memory.
    """

    size: Size = "tiny"
    dim: Follows = None  # type: ignore[assignment]
    depth: Follows = None  # type: ignore[assignment]
    num_heads: Follows = None  # type: ignore[assignment]
    kind: Kind = "encoder"
    decoder_depth: Follows = None  # type: ignore[assignment]
    num_kv_heads: Follows = None  # type: ignore[assignment]
    head_dim: Follows = None  # type: ignore[assignment]
    hidden_dim: Follows = None  # type: ignore[assignment]
    activation: Activation = "gelu"
    norm: Norm = "layer"
    norm_position: NormPosition = "pre"
    norm_eps: float = 1e-5
    input_norm: bool = False
    bias: bool = True
    positions: Positions = "none"
    position_axes: int = 1
    rotary_base: float = 10_000.0
    window: int | None = None
    chunk: int | None = None
    dropout: float = 0.0
    attention_dropout: float = 0.0
    drop_path: float = 0.0
    layer_scale: float | None = None
    checkpoint: bool = False

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            _check_name(f"TransformerConfig.{name}", getattr(self, name), choices)
        dim, depth, num_heads = SIZES[self.size]
        self._default("dim", dim)
        self._default("depth", depth)
        self._default("num_heads", num_heads if self.dim == dim else max(1, self.dim // 64))
        self._default("decoder_depth", self.depth)
        self._default("num_kv_heads", self.num_heads)
        self._check(self.num_heads > 0, "num_heads must be at least 1")
        if self.head_dim is None:
            self._check(
                self.dim % self.num_heads == 0,
                f"dim {self.dim} cannot be divided among num_heads {self.num_heads}; "
                "give a num_heads that divides it, or head_dim",
            )
            self._default("head_dim", self.dim // self.num_heads)
        hidden = round(self.dim * 8 / 3 / 8) * 8 if self.gated else 4 * self.dim
        self._default("hidden_dim", hidden)
        self._check_ranges()

    def _default(self, name: str, value: Any) -> None:
        if getattr(self, name) is None:
            object.__setattr__(self, name, value)

    def _check(self, holds: bool, message: str) -> None:
        if not holds:
            raise UserError(f"TransformerConfig: {message}")

    def _check_ranges(self) -> None:
        for name in ("dim", "depth", "decoder_depth", "head_dim", "hidden_dim", "position_axes"):
            self._check(
                getattr(self, name) > 0, f"{name} must be at least 1, found {getattr(self, name)}"
            )
        for name in ("dropout", "attention_dropout", "drop_path"):
            self._check(
                0 <= getattr(self, name) < 1,
                f"{name} must be at least 0 and less than 1, found {getattr(self, name)}",
            )
        self._check(
            self.num_kv_heads > 0 and self.num_heads % self.num_kv_heads == 0,
            f"num_heads {self.num_heads} cannot share num_kv_heads {self.num_kv_heads}; "
            "give a num_kv_heads that divides num_heads",
        )
        self._check(self.norm_eps > 0, f"norm_eps must be above 0, found {self.norm_eps}")
        self._check(
            self.window is None or self.window >= 0,
            f"window must be at least 0, found {self.window}",
        )
        self._check(
            self.chunk is None or self.chunk > 0, f"chunk must be at least 1, found {self.chunk}"
        )
        self._check(
            not (self.checkpoint and self.norm == "batch"),
            "checkpoint computes blocks twice, and norm 'batch' would count their statistics twice",
        )
        if self.positions == "rotary":
            self._check(
                self.head_dim % 2 == 0 and self.head_dim // 2 >= self.position_axes,
                f"rotary turns pairs: head_dim {self.head_dim} must be even and hold a pair for "
                f"each of {self.position_axes} position_axes",
            )

    @property
    def gated(self) -> bool:
        """Whether the feed-forward multiplies by a gate."""
        return self.activation in GATED

    @classmethod
    def preset(cls, size: str, **overrides: Any) -> "TransformerConfig":
        """A published size (tiny, small, base, large), with any other value given by name."""
        _check_name("TransformerConfig.preset", size, SIZES)
        for name in overrides:
            _check_name("TransformerConfig", name, [field.name for field in fields(cls)])
        return cls(size=size, **overrides)  # type: ignore[arg-type]


_CHOICES: dict[str, tuple[str, ...]] = {
    "size": get_args(Size),
    "kind": get_args(Kind),
    "norm": get_args(Norm),
    "norm_position": get_args(NormPosition),
    "activation": get_args(Activation),
    "positions": get_args(Positions),
}


def _check_name(place: str, found: str, known: Iterable[str]) -> None:
    known = list(known)
    if found not in known:
        near = difflib.get_close_matches(str(found), known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"{place}: unknown {found!r}; {hint}known are {', '.join(known)}")
