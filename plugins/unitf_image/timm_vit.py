"""Plain vision transformers of timm: ViT, DeiT, DeiT III, DINOv2, CLIP, SigLIP and others."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from unitf import Task, TransformerConfig
from unitf.interop import Part, WeightMapping, map_weight
from unitf.tasks import Classification, Head
from unitf_image.timm_images import FEEDFORWARD, TimmImages
from unitf_image.timm_parts import activation_name, activation_of, class_names, is_there, norm_of

_BLOCK = [
    map_weight("norm1", "attention_residual.norm"),
    map_weight("attn.qkv", "attention.qkv"),
    map_weight("attn.q_norm", "attention.head_norms.query"),
    map_weight("attn.k_norm", "attention.head_norms.key"),
    map_weight("attn.norm", "attention.norm"),
    map_weight("attn.proj", "attention.out"),
    map_weight("ls1.gamma", "attention_residual.scale"),
    map_weight("norm2", "feedforward_residual.norm"),
    *FEEDFORWARD,
    map_weight("ls2.gamma", "feedforward_residual.scale"),
]


class TimmVisionTransformer(TimmImages):
    """VisionTransformer of timm with class token, registers, average or MAP pooling."""

    kinds = ("VisionTransformer", "VisionTransformerDistilled")

    def unsupported(self) -> str | None:
        block = self.published.blocks[0]
        kind = type(block).__name__
        if kind == "ParallelScalingBlock":
            if block.out_proj is not None or block.mlp_out_proj.bias is None:
                return "its parallel layers end in one projection, or in one without bias"
        elif kind not in ("Block", "ResPostBlock"):
            return f"its blocks are of class {kind}"
        elif type(block.attn).__name__ != "Attention":
            return f"its attention is of class {type(block.attn).__name__}"
        elif block.attn.gate is not None:
            return "its attention has a gate"
        return super().unsupported()

    @property
    def parallel(self) -> bool:
        """Whether attention and feed-forward run in parallel."""
        return type(self.published.blocks[0]).__name__ == "ParallelScalingBlock"

    def core(self) -> TransformerConfig:
        published, block = self.published, self.published.blocks[0]
        return TransformerConfig(
            dim=published.embed_dim,
            depth=len(published.blocks),
            input_norm=is_there(published.norm_pre),
            final_norm=is_there(published.norm),
            **(_parallel(block) if self.parallel else _sequential(block)),
        )

    def block_mappings(self) -> list[WeightMapping]:
        if not self.parallel:
            return _BLOCK
        first, last = self.published.blocks[0].in_split[0], sum(self.published.blocks[0].in_split)
        return [
            map_weight("in_norm", "attention_residual.norm"),
            map_weight("in_proj", "feedforward.inner", Part(0, first)),
            map_weight("in_proj", "attention.qkv", Part(first, last)),
            map_weight("mlp_bias", "feedforward.inner.bias"),
            map_weight("q_norm", "attention.head_norms.query"),
            map_weight("k_norm", "attention.head_norms.key"),
            map_weight("attn_out_proj", "attention.out"),
            map_weight("mlp_out_proj", "feedforward.out"),
            map_weight("ls.gamma", "attention_residual.scale"),
        ]

    # ---- DeiT with distillation: one head uses the class token, one the distillation token

    @property
    def distilled(self) -> bool:
        """Whether the model has a distillation token."""
        return hasattr(self.published, "head_dist") and self.published.num_classes > 1

    def tasks(self) -> dict[str, Task]:
        if not self.distilled:
            return super().tasks()
        classes = class_names(self.published)
        return {
            name: Classification(["image"], name, classes, "mean", head=Head(columns=[n, n + 1]))
            for n, name in enumerate(("label", "distilled"))
        }

    def pooling(self) -> tuple[Any, Head]:
        if hasattr(self.published, "head_dist"):
            return "mean", Head(columns=[0, 2])
        return super().pooling()

    def weight_map(self) -> Sequence[WeightMapping]:
        return [*super().weight_map(), map_weight("head_dist", "tasks.distilled.head.linear")]

    def heads(self, tokens: Tensor) -> dict[str, Tensor]:
        if not self.distilled:
            return super().heads(tokens)
        published = self.published
        return {
            "label": published.head(tokens[:, 0]),
            "distilled": published.head_dist(tokens[:, 1]),
        }


def _sequential(block: Any) -> dict[str, Any]:
    attention = block.attn
    return {
        "num_heads": attention.num_heads,
        "head_dim": attention.head_dim,
        "hidden_dim": block.mlp.fc2.in_features,
        "activation": activation_of(block.mlp),
        **norm_of(block.norm1),
        "norm_position": "res_post" if type(block).__name__ == "ResPostBlock" else "pre",
        "qk_norm": is_there(attention.q_norm),
        "attention_norm": is_there(attention.norm),
        "hidden_norm": is_there(block.mlp.norm),
        "qkv_bias": attention.qkv.bias is not None,
        "attention_out_bias": attention.proj.bias is not None,
        "bias": block.mlp.fc2.bias is not None,
        "layer_scale": 1.0 if is_there(getattr(block, "ls1", None)) else None,
    }


def _parallel(block: Any) -> dict[str, Any]:
    return {
        "residual": "parallel_shared",
        "num_heads": block.num_heads,
        "head_dim": block.head_dim,
        "hidden_dim": block.in_split[0],
        "activation": activation_name(block.mlp_act),
        **norm_of(block.in_norm),
        "qk_norm": is_there(block.q_norm),
        "qkv_bias": block.in_proj.bias is not None,
        "layer_scale": 1.0 if is_there(block.ls) else None,
    }
