"""BEiT and BEiT v2 of timm: their mappings to unitf."""

from collections.abc import Sequence
from typing import Any

from unitf import TransformerConfig
from unitf.interop import Joined, WeightMapping, map_weight
from unitf_image.timm_images import FEEDFORWARD, TimmImages
from unitf_image.timm_parts import activation_of, is_there, norm_of


class TimmBeit(TimmImages):
    """Beit of timm: each block has a table of relative positions, and keys have no bias."""

    kinds = ("Beit",)

    def unsupported(self) -> str | None:
        if self.published.rel_pos_bias is not None:
            return "its blocks share one table of relative positions"
        return super().unsupported()

    @property
    def grid(self) -> Any:
        """Rows and columns of patches of the relative positions; None: a block has none."""
        return self.published.blocks[0].attn.window_size

    @property
    def outside(self) -> float:
        return -1.0 if self.grid else 0.0

    def core(self) -> TransformerConfig:
        published, block = self.published, self.published.blocks[0]
        attention = block.attn
        return TransformerConfig(
            dim=published.embed_dim,
            depth=len(published.blocks),
            num_heads=attention.num_heads,
            head_dim=attention.qkv.out_features // 3 // attention.num_heads,
            hidden_dim=block.mlp.fc2.in_features,
            activation=activation_of(block.mlp),  # type: ignore[arg-type]
            **norm_of(block.norm1),
            final_norm=is_there(published.norm),
            hidden_norm=is_there(block.mlp.norm),
            qkv_bias=attention.q_bias is not None,
            key_bias=attention.q_bias is None,
            layer_scale=1.0 if block.gamma_1 is not None else None,
            relative_positions="beit" if self.grid else "none",
            grid=list(self.grid) if self.grid else None,
        )

    def block_mappings(self) -> list[WeightMapping]:
        return [
            map_weight("norm1", "attention_residual.norm"),
            map_weight("attn.qkv", "attention.qkv"),
            map_weight("attn.q_bias", "attention.some_biases.query"),
            map_weight("attn.v_bias", "attention.some_biases.value"),
            map_weight("attn.proj", "attention.out"),
            map_weight("gamma_1", "attention_residual.scale"),
            map_weight("norm2", "feedforward_residual.norm"),
            *gates(self.published.blocks[0].mlp),
            *FEEDFORWARD,
            map_weight("gamma_2", "feedforward_residual.scale"),
        ]

    def weight_map(self) -> Sequence[WeightMapping]:
        theirs, ours = "attn.relative_position_bias_table", "core.encoder.own_positions"
        count = len(self.published.blocks)
        tables = [
            map_weight(f"blocks.{n}.{theirs}", f"{ours}.{n}.table.weight") for n in range(count)
        ]
        return [*super().weight_map(), *tables]


def gates(mlp: Any) -> list[WeightMapping]:
    """Returns the mappings of a feed-forward whose gate is a separate layer."""
    if not hasattr(mlp, "fc1_g"):
        return []
    sizes = [mlp.fc1_g.out_features, mlp.fc1_x.out_features]
    return [WeightMapping(("mlp.fc1_g", "mlp.fc1_x"), "feedforward.inner", Joined(sizes))]
