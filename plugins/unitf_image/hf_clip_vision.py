"""The image towers of transformers' CLIP and SigLIP: their mappings to unitf."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from unitf import Task
from unitf.interop import (
    ACTIVATIONS,
    DummyInputs,
    Part,
    WeightMapping,
    map_blocks,
    map_joined,
    map_weight,
)
from unitf.tasks import Head
from unitf_image.hf_vision import IMAGE, VisionArchitecture, vector_task

BLOCK = {
    "layer_norm1": "attention_residual.norm",
    "self_attn.out_proj": "attention.out",
    "layer_norm2": "feedforward_residual.norm",
    "mlp.fc1": "feedforward.inner",
    "mlp.fc2": "feedforward.out",
}
QKV = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]


class VisionTower(VisionArchitecture):
    """Base of both towers: the names of blocks, and a vector as the only output."""

    @property
    def logit_scale(self) -> float | None:
        """The log scale of similarities, if the tower is part of a model with both towers."""
        return getattr(self.config, "logit_scale", None)

    @property
    def stack(self) -> nn.ModuleList:
        return self.body.encoder.layers

    def settings(self) -> dict[str, Any]:
        config = self.config
        return {
            "hidden_dim": config.intermediate_size,
            "activation": ACTIVATIONS[config.hidden_act],
            "attention_dropout": config.attention_dropout,
        }

    def weight_map(self) -> Sequence[WeightMapping]:
        body, width = self.prefix, self.config.hidden_size
        return [
            map_weight(f"{body}embeddings.patch_embedding", f"{IMAGE}.embedding"),
            *self.prefix_mappings(),
            *self.position_mappings("position_embedding.weight"),
            *map_blocks(
                self.config.num_hidden_layers,
                f"{body}encoder.layers.{{}}",
                "core.encoder.blocks.{}",
                [
                    map_joined(QKV, "attention.qkv", [width] * 3),
                    *(map_weight(theirs, ours) for theirs, ours in BLOCK.items()),
                ],
            ),
        ]


class HFClipVision(VisionTower):
    """CLIP's image tower: the class token, normalised and projected."""

    kinds = ("clip_vision_model",)

    @property
    def prefixes(self) -> dict[str, int]:
        return {"class_embedding": 1}

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "input_norm": True, "final_norm": False}

    def tokenizer_options(self) -> dict[str, Any]:
        return {"bias": False}

    def tasks(self) -> dict[str, Task]:
        size = None if self.body is self.published else self.config.projection_dim
        head = Head(norm_eps=self.config.layer_norm_eps, bias=False)
        return {"embedding": vector_task("first", head, size, self.logit_scale)}

    def weight_map(self) -> Sequence[WeightMapping]:
        return [
            *super().weight_map(),
            map_weight(f"{self.prefix}pre_layrnorm", "core.encoder.input_norm"),
            map_weight(f"{self.prefix}post_layernorm", "tasks.embedding.head.norm"),
            map_weight("visual_projection", "tasks.embedding.head.linear"),
        ]

    def heads(self, output: Any, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        is_bare = self.body is self.published
        return {"embedding": output.pooler_output if is_bare else output.image_embeds}


class HFSiglipVision(VisionTower):
    """SigLIP's image tower: a learned query attends to all patches."""

    kinds = ("siglip_vision_model",)

    def unsupported(self) -> str | None:
        if self.config.hidden_act not in ("gelu", "gelu_pytorch_tanh"):
            return f"hidden_act is {self.config.hidden_act!r}"
        return super().unsupported()

    def tasks(self) -> dict[str, Task]:
        config = self.config
        if not config.vision_use_head:
            return {"embedding": vector_task("mean")}
        head = Head(
            latent_heads=config.num_attention_heads,
            latent_hidden=config.intermediate_size,
            latent_activation=ACTIVATIONS[config.hidden_act],  # type: ignore[arg-type]
            latent_eps=config.layer_norm_eps,
        )
        return {"embedding": vector_task("latent", head, scale=self.logit_scale)}

    def weight_map(self) -> Sequence[WeightMapping]:
        width, pooling = self.config.hidden_size, "tasks.embedding.head.pooling"
        query, others = Part(0, width), Part(width, 3 * width)
        return [
            *super().weight_map(),
            map_weight("post_layernorm", "core.encoder.final_norm"),
            map_weight("head.probe", f"{pooling}.latent"),
            *(
                map_weight(f"head.attention.in_proj_{kind}", f"{pooling}.{name}.{kind}", part)
                for kind in ("weight", "bias")
                for name, part in (("query", query), ("kv", others))
            ),
            map_weight("head.attention.out_proj", f"{pooling}.out"),
            map_weight("head.layernorm", f"{pooling}.norm"),
            map_weight("head.mlp.fc1", f"{pooling}.inner"),
            map_weight("head.mlp.fc2", f"{pooling}.outer"),
        ]

    def heads(self, output: Any, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        return {} if output.pooler_output is None else {"embedding": output.pooler_output}
