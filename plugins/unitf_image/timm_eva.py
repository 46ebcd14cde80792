"""EVA, EVA-02, DINOv3, Perception Encoder and rotary ViTs of timm: their mappings to unitf."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unitf import TransformerConfig
from unitf.interop import Joined, Part, Rows, Same, Then, WeightMapping, map_weight
from unitf_image.patch_grid import Coordinates
from unitf_image.timm_beit import gates
from unitf_image.timm_images import FEEDFORWARD, TimmImages
from unitf_image.timm_parts import activation_of, is_there, norm_of, turned

_ROTARY = ("RotaryEmbeddingCat", "RotaryEmbeddingDinoV3", "RotaryEmbeddingMixed")


class TimmEva(TimmImages):
    """Eva of timm: rotary positions over two axes, SwiGLU, norms within the layers."""

    kinds = ("Eva",)

    def unsupported(self) -> str | None:
        published, block, rope = self.published, self.published.blocks[0], self.published.rope
        if rope is not None:
            if type(rope).__name__ not in _ROTARY:
                return f"its rotary positions are of class {type(rope).__name__}"
            if getattr(rope, "grid_type", "index") != "index":
                return f"its rotary positions count by {rope.grid_type!r}"
            if rope.temperature is None:
                return "its periods are given by the shortest and the longest"
            if getattr(rope, "normalize_coords", "separate") != "separate":
                return f"its coordinates are normalised by {rope.normalize_coords!r}"
        if block.attn.gate is not None:
            return "its attention has a gate"
        if len({getattr(b.attn, "num_kv_heads", None) for b in published.blocks}) > 1:
            return "its blocks differ in their number of key and value heads"
        if (getattr(block, "gamma_1", None) is None) != (getattr(block, "gamma_2", None) is None):
            return "only its attention has a layer scale"
        return super().unsupported()

    # ---- rotary positions

    @property
    def rope_kind(self) -> str:
        """The class name of timm's rotary positions; empty if there are none."""
        return "" if self.published.rope is None else type(self.published.rope).__name__

    @property
    def columns_first(self) -> bool:
        """Whether timm's first position axis is columns."""
        return getattr(self.published.rope, "grid_indexing", "ij") == "xy"

    @property
    def coordinates(self) -> Coordinates | None:
        rope = self.published.rope
        if self.rope_kind == "RotaryEmbeddingDinoV3":
            return Coordinates(extent=[2.0, 2.0], shift=0.5 + rope.grid_offset, start=-1.0)
        if self.rope_kind == "RotaryEmbeddingCat" and rope.ref_feat_shape is not None:
            return Coordinates(extent=list(map(float, rope.ref_feat_shape)), shift=rope.grid_offset)
        if self.rope_kind == "RotaryEmbeddingCat" and rope.grid_offset:
            return Coordinates(shift=rope.grid_offset)
        return None

    def _positions(self) -> dict[str, Any]:
        rope = self.published.rope
        if self.rope_kind == "RotaryEmbeddingMixed":
            return {
                "relative_positions": "rope_mixed",
                "position_axes": 2,
                "rotary_base": rope.temperature,
            }
        if self.rope_kind == "RotaryEmbeddingCat":
            return {
                "relative_positions": "rotary",
                "position_axes": 2,
                "rotary_base": rope.temperature,
            }
        if self.rope_kind == "RotaryEmbeddingDinoV3":
            pairs_per_axis = rope.dim // 4
            frequencies = [
                2 * math.pi * rope.temperature ** (-i / pairs_per_axis)
                for i in range(pairs_per_axis)
            ]
            return {
                "relative_positions": "rotary",
                "position_axes": 2,
                "rotary_frequencies": 2 * frequencies,
            }
        return {}

    def _order(self) -> Tensor | None:
        """Returns unitf's order of the rows of queries and keys; None: timm's order."""
        attention = self.published.blocks[0].attn
        if not self.rope_kind:
            return None
        mixed = self.rope_kind == "RotaryEmbeddingMixed"  # each pair rotates with both axes
        return turned(
            attention.num_heads,
            attention.head_dim,
            attention.rotate_half,
            self.columns_first and not mixed,
        )

    # ---- blocks

    def core(self) -> TransformerConfig:
        published, block = self.published, self.published.blocks[0]
        attention = block.attn
        biased, keys_too = _biases(attention)
        return TransformerConfig(
            dim=published.embed_dim,
            depth=len(published.blocks),
            num_heads=attention.num_heads,
            num_kv_heads=getattr(attention, "num_kv_heads", attention.num_heads),
            head_dim=attention.head_dim,
            hidden_dim=block.mlp.fc2.in_features,
            activation=activation_of(block.mlp),  # type: ignore[arg-type]
            **norm_of(block.norm1),
            norm_position="res_post" if type(block).__name__ == "EvaBlockPostNorm" else "pre",
            input_norm=is_there(published.norm_pre),
            final_norm=is_there(published.norm),
            qk_norm=is_there(attention.q_norm),
            attention_norm=is_there(attention.norm),
            hidden_norm=is_there(block.mlp.norm),
            qkv_bias=biased,
            key_bias=keys_too,
            layer_scale=1.0 if getattr(block, "gamma_1", None) is not None else None,
            **self._positions(),
        )

    def block_mappings(self) -> list[WeightMapping]:
        return [
            map_weight("norm1", "attention_residual.norm"),
            *self._attention_mappings(),
            map_weight("attn.norm", "attention.norm"),
            map_weight("attn.proj", "attention.out"),
            map_weight("gamma_1", "attention_residual.scale"),
            map_weight("norm2", "feedforward_residual.norm"),
            *gates(self.published.blocks[0].mlp),
            *FEEDFORWARD,
            map_weight("gamma_2", "feedforward_residual.scale"),
        ]

    def _attention_mappings(self) -> list[WeightMapping]:
        attention, order = self.published.blocks[0].attn, self._order()
        dim = attention.num_heads * attention.head_dim
        kv_dim = getattr(attention, "kv_dim", dim)
        all_rows, queries, head = Same(), Same(), Same()
        split: Joined | Then = Joined([dim, kv_dim, kv_dim])
        if order is not None:
            values = torch.arange(dim + kv_dim, dim + 2 * kv_dim)
            rows = torch.cat([order, order[:kv_dim] + dim, values])
            all_rows, queries, head = Rows(rows), Rows(order), Rows(order[: attention.head_dim])
            split = Then(split, all_rows)
        projections = [f"attn.{name}_proj" for name in "qkv"]
        mappings = [map_weight("attn.qkv", "attention.qkv", all_rows)]
        if _biases(attention) == (True, False):
            mappings.append(
                WeightMapping(tuple(f"{p}.weight" for p in projections), _QKV_WEIGHT, split)
            )
            mappings.append(map_weight("attn.q_proj.bias", "attention.some_biases.query", queries))
            mappings.append(map_weight("attn.v_proj.bias", "attention.some_biases.value"))
        else:
            mappings.append(WeightMapping(tuple(projections), "attention.qkv", split))
        return [
            *mappings,
            map_weight("attn.q_bias", "attention.some_biases.query", queries),
            map_weight("attn.v_bias", "attention.some_biases.value"),
            map_weight("attn.q_norm", "attention.head_norms.query", head),
            map_weight("attn.k_norm", "attention.head_norms.key", head),
        ]

    def weight_map(self) -> Sequence[WeightMapping]:
        count = len(self.published.blocks) if self.rope_kind == "RotaryEmbeddingMixed" else 0
        angles = "core.encoder.own_positions.{}.angles"
        return [
            *super().weight_map(),
            *(
                map_weight("rope.freqs", angles.format(n), Angles(n, self.columns_first))
                for n in range(count)
            ),
        ]

    @property
    def pools_prefixes(self) -> bool:
        return self.attn_pool is not None


class Angles(Part):
    """Selects the learned angles (P, H, pairs) of one block from timm's (P, depth, H, pairs).

    Args:
        block: the index of the block.
        columns_first: whether timm's first position axis is columns.
    """

    def __init__(self, block: int, columns_first: bool) -> None:
        self.block = block
        self.axes = [0] if columns_first else []  # the axes whose order is reversed

    def to_unitf(self, theirs: Sequence[Tensor | None]) -> Tensor:
        [angles] = theirs
        assert angles is not None
        return angles[:, self.block].flip(self.axes)

    def put(self, whole: Tensor, part: Tensor) -> None:
        whole[:, self.block] = part.flip(self.axes)


_QKV_WEIGHT = "attention.qkv.weight"


def _biases(attention: Any) -> tuple[bool, bool]:
    """Returns whether queries and values have a bias, and whether keys then have one too."""
    if attention.qkv is not None and attention.qkv.bias is not None:
        return True, True
    if attention.qkv is not None:
        separate = getattr(attention, "q_bias", None) is not None
        return separate, not separate
    biased = attention.q_proj.bias is not None
    return biased, not biased or attention.k_proj.bias is not None
